"""The HTTP API for backends, in groups as docs/protocol.md has it; backend.py holds them all."""
