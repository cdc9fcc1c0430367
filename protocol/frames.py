"""WebSocket frames as bytes (RFC 6455, section 5.2): ours are built once and sent to a whole room.

A server's text frame is a header and the payload, never masked and here never compressed, which
is legal whatever extension was negotiated. Control frames, closing and everything unusual are left
to the websockets library; this file only knows the frames that are sent or read by the million.
"""

PING = b"\x89\x00"
"""An empty ping, the same bytes for every connection."""

_FIN_TEXT = 0x81
_MASKED = 0x80


def text_frame(payload: bytes) -> bytes:
    """One complete, unmasked text frame."""
    length = len(payload)
    if length < 126:
        return bytes((_FIN_TEXT, length)) + payload
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload
