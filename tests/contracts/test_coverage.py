"""The suite itself: whatever a store promises, some test asks for, of every adapter."""

import pytest

from kit.contract_calls import Method, calls, methods

CALLS = calls()


@pytest.mark.parametrize("method", methods(), ids=".".join)
def test_every_method_of_the_contracts_is_called_by_the_suite(method: Method) -> None:
    assert CALLS[method], f"no test in tests/contracts calls {'.'.join(method)}"


def test_only_methods_of_the_contracts_are_called_on_them() -> None:
    """An adapter may have more; the suite must not lean on it."""
    assert set(CALLS) <= set(methods())
