"""Where webhooks go. What is told and how is for the server; the books say who is told."""

from rules.book import Book
from rules.commands import DisableEndpoint, RotateEndpoint, SetEndpoint
from rules.outcomes import EndpointSet
from rules.policy import bounds_of
from rules.refusals import RefusalCode
from rules.results import Result, refuse
from rules.rows import Endpoint


def set_endpoint(book: Book, command: SetEndpoint, now_ms: int) -> Result:
    """Add an endpoint, or change one. One that was disabled goes on where it stopped."""
    row = book.endpoints.get(command.endpoint)
    kinds = list(command.kinds)
    most = bounds_of(book.policy).endpoints_max
    if row is None and most and len(book.endpoints) >= most:
        sentence = f"There may be {most} endpoints; set one of them anew."
        return refuse(RefusalCode.INVALID, sentence, field="endpoint", most=most)
    if row is None:
        row = Endpoint(command.endpoint, command.url, kinds, True, "", 1, 0, book.next_command)
        book.endpoints[row.id] = row
    row.url, row.kinds, row.enabled, row.reason = command.url, kinds, True, ""
    return _changed(book, row)


def rotate(book: Book, command: RotateEndpoint, now_ms: int) -> Result:
    """Give the endpoint a new secret; for a day both sign."""
    row = book.endpoints.get(command.endpoint)
    if row is None:
        return refuse(RefusalCode.UNKNOWN_ENDPOINT, f"There is no endpoint {command.endpoint}.")
    row.version += 1
    row.rotated_ms = now_ms
    return _changed(book, row)


def disable(book: Book, command: DisableEndpoint, now_ms: int) -> Result:
    """Tell it nothing more until it is set again."""
    row = book.endpoints.get(command.endpoint)
    if row is None:
        return refuse(RefusalCode.UNKNOWN_ENDPOINT, f"There is no endpoint {command.endpoint}.")
    if command.url not in (None, row.url):
        sentence = f"{row.id} is told at another address now."
        return refuse(RefusalCode.WRONG_STATE, sentence)
    row.enabled, row.reason = False, command.reason
    return _changed(book, row)


def _changed(book: Book, row: Endpoint) -> Result:
    book.keep(row)
    return Result(EndpointSet(endpoint=row.id, enabled=row.enabled, version=row.version))
