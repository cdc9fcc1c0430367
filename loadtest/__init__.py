"""A stranger that knows only the public contract, and checks the books.

It opens thousands of viewers and a few hundred gifters against a running server, keeps every
viewer's own ledger of what it saw, and ends with a verdict: do the answers, the frames, the log,
the totals and the wallets tell one story? It refuses to know how the server works: of our own
code it imports `largesse_client`, which knows the contract and nothing else of ours, so a mistake
of the server cannot hide in shared code.
"""
