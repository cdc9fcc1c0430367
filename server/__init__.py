"""The asyncio shell: sockets, HTTP, the command line, the clock.

It moves things and decides nothing: what may be said is in `protocol`, what happens is in `rules`,
what survives is in `storage`. `app` is the only place that wires the parts together.
"""
