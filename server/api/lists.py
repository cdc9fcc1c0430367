"""How lists are asked for, and the shape in which they are answered."""

from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from protocol.messages import MONEY_MAX

LIST_MAX = 200

Limit = Annotated[
    int, QueryParameter(ge=1, le=LIST_MAX, description=f"How many at once, {LIST_MAX} at most.")
]
Cursor = Annotated[
    int | None,
    QueryParameter(ge=1, le=MONEY_MAX, description="The `next_cursor` of the page before."),
]
CursorText = Annotated[str, QueryParameter(description="The `next_cursor` of the page before.")]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`next_cursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None
