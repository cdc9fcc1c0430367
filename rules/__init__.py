"""What is allowed and what happens: the pure heart of largesse.

Commands go in, outcomes come out, and a `Book` holds the rows in between. Nothing here knows the
clock, chance, the network, a database or how a message looks on the wire: the same commands on the
same book give the same outcomes for ever, which is what makes the audit's replay possible.
"""
