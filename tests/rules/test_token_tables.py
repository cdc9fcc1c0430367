"""Overlay links and revoked tokens, told as tables."""

import pytest

from kit.building.builders import issue_link, revoke_token
from kit.tables.ledger_tables import check_table
from rules.commands import write_command

TABLES = {
    "a new link takes the place of the one before it, which is revoked until it ends": """
        room r1 cleo
        room r2 cleo
        @5 link r1 t1 expires_ms=1000  | ok room=r1 token_id=t1 expires_ms=1000 \
                                       | r1.token_id=t1 r1.issued_ms=5
        link r2 t2                     | ok | r2.token_id=t2 r1.token_id=t1
        @9 link r1 t3 expires_ms=2000  | ok token_id=t3 | r1.token_id=t3 r1.expires_ms=2000 \
                                       t1.expires_ms=1000 t1.at_ms=9 t1.command=5
        link r1 t4                     | ok | r1.token_id=t4 t3.expires_ms=2000 r2.token_id=t2
        link nowhere t5                | -unknown_room
    """,
    "a retry gets the first link, whatever is drawn for it": """
        room r1 cleo
        link r1 t1 key=k expires_ms=1000  | ok token_id=t1
        link r1 t2 key=k expires_ms=2000  | replay token_id=t1 expires_ms=1000 | r1.token_id=t1
        link r2 t2 key=k                  | -key_reused
        link r1 t3                        | ok | r1.token_id=t3 t1.expires_ms=1000
        link r1 t4 key=k                  | replay token_id=t1 | r1.token_id=t3
    """,
    "a token is revoked once, and for as long as the longest wish says": """
        @7 revoke t1 expires_ms=1000 reason=lost  | ok token_id=t1 expires_ms=1000 \
                                                  | t1.reason=lost t1.at_ms=7 t1.command=1
        revoke t1 expires_ms=999                  | replay expires_ms=1000
        revoke t1 expires_ms=1000 reason=again    | replay | t1.reason=lost
        @8 revoke t1 expires_ms=1001              | ok expires_ms=1001 | t1.at_ms=8 t1.command=4
        revoke t1                                 | ok expires_ms=null | t1.expires_ms=0
        revoke t1 expires_ms=2^53-1               | replay expires_ms=null
        revoke t1                                 | replay expires_ms=null
    """,
    "a link that was revoked by hand can be replaced like any other": """
        room r1 cleo
        link r1 t1 expires_ms=1000  | ok
        revoke t1                   | ok | t1.expires_ms=0 t1.reason=leaked r1.token_id=t1
        link r1 t2                  | ok | r1.token_id=t2 t1.expires_ms=1000 t1.command=4
    """,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_books_follow_the_table(name: str) -> None:
    check_table(TABLES[name])


def test_the_journal_holds_ids_of_tokens_and_no_field_for_a_token() -> None:
    for command in (issue_link(), revoke_token()):
        body, said = write_command(command)
        assert said is None and b'"token_id"' in body and b'"token"' not in body
