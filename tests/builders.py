"""Commands for tests: each builder gives a valid one, and every field may be overridden by keyword.

A key is made for each command unless the test names one, so that only tests about keys see keys.
"""

from itertools import count
from typing import Any

import msgspec

from rules.catalogue import Gift, make_catalogue
from rules.commands import (
    CloseRoom,
    Grant,
    HideGift,
    OpenRoom,
    Policy,
    RenewEpochs,
    RetractGift,
    SendGift,
    SetPolicy,
)

ROSE = Gift(id="rose", name="Rose", coins=1, combo=True)
CAKE = Gift(id="cake", name="Cake", coins=25, combo=True)
LION = Gift(id="lion", name="Lion", coins=500, animation="full")
GHOST = Gift(id="ghost", name="Ghost", coins=5, enabled=False)
CATALOGUE = make_catalogue((ROSE, CAKE, LION, GHOST))

_numbers = count(1)


def _key() -> str:
    return f"key-{next(_numbers)}"


def set_policy(**fields: Any) -> SetPolicy:
    """Policy fields (`rate_permille`, `combo_window_ms`, …) and `actor`, `key` in one."""
    actor, key = fields.pop("actor", "operator"), fields.pop("key", None) or _key()
    return SetPolicy(actor=actor, key=key, policy=Policy(**{"catalogue": CATALOGUE} | fields))


def open_room(room: str = "r1", creator: str = "cleo", **fields: Any) -> OpenRoom:
    defaults = {
        "actor": "backend",
        "key": _key(),
        "title": "Morning show",
        "creator_name": creator.title(),
        "epoch": f"epoch-{room}",
    }
    return OpenRoom(room=room, creator=creator, **defaults | fields)


def close_room(room: str = "r1", **fields: Any) -> CloseRoom:
    return CloseRoom(room=room, **{"actor": "backend", "key": _key()} | fields)


def grant(user: str = "ada", coins: int = 1_000, **fields: Any) -> Grant:
    defaults = {"actor": "backend", "key": _key(), "reason": "test"}
    return Grant(user=user, coins=coins, **defaults | fields)


def gift(sender: str = "ada", gift: str = "rose", **fields: Any) -> SendGift:
    defaults = {
        "actor": f"user:{sender}",
        "key": _key(),
        "name": sender.title(),
        "adult": True,
        "room": "r1",
    }
    return SendGift(sender=sender, gift=gift, **defaults | fields)


def retract(gift_id: str = "r1:1", **fields: Any) -> RetractGift:
    defaults = {"actor": "operator", "key": _key(), "reason": "chargeback"}
    return RetractGift(gift_id=gift_id, **defaults | fields)


def hide(gift_id: str = "r1:1", **fields: Any) -> HideGift:
    return HideGift(gift_id=gift_id, **{"actor": "operator", "key": _key()} | fields)


def renew_epochs(salt: str = "salt", **fields: Any) -> RenewEpochs:
    return RenewEpochs(salt=salt, **{"actor": "operator", "key": _key()} | fields)


def again(command: Any, **changes: Any) -> Any:
    """The same command once more, under the same key, with what a careless client changes."""
    return msgspec.structs.replace(command, **changes)
