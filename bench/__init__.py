"""Every figure beside its reference, measured in one run: `python -m bench`.

A figure by itself says how fast the machine was that day. So whatever is measured here is measured
in turns with a reference that does the same work in the barest way (A B A B A B), and what counts
is the ratio. Each part runs in a process of its own: what serves on the first core, what makes the
load on the second. Needs nothing but the project: no C compiler, no other machine. Nothing imports
this package, and it listens and connects on the loopback interface only.
"""
