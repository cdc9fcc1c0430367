"""`python -m loadtest`: the load test without the rest of largesse."""

import typer

from loadtest.cli import loadtest

if __name__ == "__main__":
    typer.run(loadtest)
