"""What a person's row keeps as JSON is written as it always was, byte for byte.

Rows that were written by an earlier version must be read, and replaying its journal must give the
very same rows. So these arrays are part of the stored form, whatever their parts are called here.
"""

from typing import Any

import msgspec
import pytest

from rules.commands import write
from rules.rows import Bucket, Creator, LimitRaise, Lot, PendingDay, Rate, User

STORED: list[tuple[type, str, Any, bytes]] = [
    (User, "hours", [Bucket(472_222, 25, 5)], b"[[472222,25,5]]"),
    (User, "days", [Bucket(19_675, 25, 0), Bucket(19_676, 0, 0)], b"[[19675,25,0],[19676,0,0]]"),
    (User, "lots", [Lot("p-1", 100)], b'[["p-1",100]]'),
    (User, "raises", {"daily": LimitRaise(None, 9)}, b'{"daily":[null,9]}'),
    (User, "raises", {"per_gift": LimitRaise(5, 9)}, b'{"per_gift":[5,9]}'),
    (Creator, "pending", [PendingDay(19_675, 12_500)], b"[[19675,12500]]"),
    (Creator, "rates", [Rate(5, None, 700), Rate(5, 9, 0)], b"[[5,null,700],[5,9,0]]"),
]


@pytest.mark.parametrize(("row", "field", "value", "stored"), STORED)
def test_parts_of_rows_are_arrays_in_the_books(
    row: type, field: str, value: Any, stored: bytes
) -> None:
    kinds = {known.name: known.type for known in msgspec.structs.fields(row)}
    assert write(value) == stored
    assert msgspec.json.decode(stored, type=kinds[field]) == value
