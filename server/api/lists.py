"""How lists are asked for: how many at once, and where to go on."""

from typing import Annotated

from litestar.params import QueryParameter

from protocol.messages import MONEY_MAX

LIST_MAX = 200

Limit = Annotated[int, QueryParameter(ge=1, le=LIST_MAX)]
Cursor = Annotated[int | None, QueryParameter(ge=1, le=MONEY_MAX)]
