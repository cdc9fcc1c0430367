"""What a path names, as the ledger has it, or the refusal that says there is no such thing."""

from rules.refusals import RefusalCode
from rules.rows import Purchase, Room
from server.api.context import Context
from server.api.errors import ApiError


async def find_room(context: Context, id: str) -> Room:
    """The room. Raises ApiError `unknown_room`."""
    found = await context.store.find_room(id)
    if found is None:
        raise ApiError(RefusalCode.UNKNOWN_ROOM, f"There is no room {id}.")
    return found


async def find_purchase(context: Context, id: str) -> Purchase:
    """The purchase. Raises ApiError `unknown_purchase`."""
    found = await context.store.money.purchase(id)
    if found is None:
        raise ApiError(RefusalCode.UNKNOWN_PURCHASE, f"There is no purchase {id}.")
    return found
