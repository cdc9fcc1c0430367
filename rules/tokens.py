"""Which tokens are good no longer, and which overlay link is a room's.

A token is never in the books, only its id (`jti`): who reads them can use none. What is revoked
stays revoked until the token would have expired anyway.
"""

from rules.book import Book
from rules.commands import IssueLink, RevokeToken
from rules.outcomes import LinkIssued, TokenRevoked
from rules.refusals import RefusalCode
from rules.results import Result, refuse
from rules.rows import FOREVER, Link, Revocation

REPLACED = "replaced by a new link"


def issue_link(book: Book, command: IssueLink, now_ms: int) -> Result:
    """Make the room's overlay link the one with this token; the one before it is revoked."""
    if command.room not in book.rooms:
        return refuse(RefusalCode.UNKNOWN_ROOM, f"There is no room {command.room}.")
    old = book.links.get(command.room)
    if old is not None:
        # Also when somebody has revoked it by hand: that row says the same, or more than is needed.
        _revoke(book, old.token_id, old.expires_ms, REPLACED, now_ms)
    link = Link(command.room, command.token_id, command.expires_ms, now_ms)
    book.links[link.id] = link
    book.keep(link)
    return Result(LinkIssued(room=link.id, token_id=link.token_id, expires_ms=link.expires_ms))


def revoke(book: Book, command: RevokeToken, now_ms: int) -> Result:
    """Refuse all tokens with this id from now on. Again is no mistake; a later end counts."""
    until_ms = FOREVER if command.expires_ms is None else command.expires_ms
    found = book.revocations.get(command.token_id)
    if found is not None and _end(found.expires_ms) >= _end(until_ms):
        return Result(_revoked(found), replayed=True)
    return Result(_revoked(_revoke(book, command.token_id, until_ms, command.reason, now_ms)))


def _revoke(book: Book, token_id: str, expires_ms: int, reason: str, now_ms: int) -> Revocation:
    row = Revocation(token_id, expires_ms, reason, now_ms, book.next_command)
    book.revocations[row.id] = row
    book.keep(row)
    return row


def _revoked(row: Revocation) -> TokenRevoked:
    until_ms = None if row.expires_ms == FOREVER else row.expires_ms
    return TokenRevoked(token_id=row.id, expires_ms=until_ms)


def _end(expires_ms: int) -> float:
    return float("inf") if expires_ms == FOREVER else expires_ms
