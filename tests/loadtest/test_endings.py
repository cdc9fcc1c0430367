"""A run ends for one reason, and whoever started it is told that reason and not a group of them."""

import asyncio
from typing import NoReturn

import pytest

from largesse_client import Unreachable
from loadtest.backend import SetupRefused, alone


async def fail(error: Exception) -> NoReturn:
    raise error


async def fail_together(*errors: Exception) -> None:
    """Every task of one group fails, two groups deep, as in a crowd."""
    async with asyncio.TaskGroup() as outer:
        for error in errors:
            outer.create_task(fail(error))


async def fail_within(*errors: Exception) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail_together(*errors))


@pytest.mark.parametrize("run", [fail_together, fail_within])
@pytest.mark.parametrize("error", [Unreachable("nobody"), SetupRefused("no")])
async def test_one_known_reason_comes_out_by_itself(run, error) -> None:
    with pytest.raises(type(error)) as ended, alone():
        await run(error)
    assert ended.value is error


async def test_of_several_the_first_is_told() -> None:
    with pytest.raises((Unreachable, SetupRefused)), alone():
        await fail_together(Unreachable("nobody"), SetupRefused("no"), Unreachable("nobody"))


async def test_a_bug_is_not_hidden_behind_a_known_reason() -> None:
    with pytest.raises(ExceptionGroup) as ended, alone():
        await fail_together(Unreachable("nobody"), KeyError("a bug"))
    assert ended.group_contains(KeyError)


async def test_a_bug_alone_stays_as_it_was() -> None:
    with pytest.raises(ExceptionGroup), alone():
        await fail_together(KeyError("a bug"))
    with pytest.raises(KeyError), alone():
        await fail(KeyError("a bug"))
