"""Combos: how gifts in quick succession are shown together. They never hold money.

A combo is computed from the sender's last gift in the room, inside the transaction, so every node
and every replay sees the same one. It is named after the seq of its first gift.
"""

import msgspec

GIFTS_MAX = 9_999
"""A combo ends here: counters on screen have four digits."""


class Combo(msgspec.Struct, frozen=True, gc=False):
    """The running combo of one sender in one room."""

    first_seq: int
    gift: str
    recipient: str
    count: int
    coins: int
    last_ms: int

    @property
    def id(self) -> str:
        return f"c{self.first_seq}"


def continue_combo(
    last: Combo | None,
    *,
    seq: int,
    gift: str,
    recipient: str,
    quantity: int,
    coins: int,
    at_ms: int,
    window_ms: int,
) -> Combo:
    """The combo after one more gift: the last one, grown, or a new one.

    It grows when the same gift goes to the same recipient at most `window_ms` after the one before,
    and its count stays within four digits. A clock that stepped back starts a new one. Public and
    anonymous gifts have combos of their own: one that broke or continued the other would name its
    giver.
    """
    if (
        last is not None
        and last.gift == gift
        and last.recipient == recipient
        and 0 <= at_ms - last.last_ms <= window_ms
        and last.count + quantity <= GIFTS_MAX
    ):
        count, total = last.count + quantity, last.coins + coins
        return Combo(last.first_seq, gift, recipient, count, total, at_ms)
    return Combo(seq, gift, recipient, quantity, coins, at_ms)
