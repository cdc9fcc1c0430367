"""`python -m server.cli` is `largesse`."""

from server.cli.main import main

main()
