"""`python -m loadtest`: the load test without the rest of largesse."""

import typer

from loadtest.cli import loadtest

if __name__ == "__main__":
    # Typer's pretty tracebacks print local variables, and the token secret is one.
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(loadtest)
    app()
