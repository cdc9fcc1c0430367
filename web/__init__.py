"""What people see: the pages, and largesse.js, the client library they are made with.

This package holds files and knows one thing: where they lie. It has no build step and nothing of
anybody else's inside, and it refuses to know how the files are served, what a token is or that
there is a server at all; the pages speak only the public protocol. One page is written
anew for each reader: the sandbox's checkout (checkout.py).
"""

from pathlib import Path

STATIC: Path = Path(__file__).parent / "static"
"""Served under ``/static/``; ``viewer.html`` is also ``/``, ``overlay.html`` is ``/overlay``,
``safety.html`` is ``/safety``."""
