"""What is said on the wire, and nothing else.

Bytes become typed messages, typed messages become bytes, and a table says who may say what when.
This package refuses to know what a gift costs, where coins are kept, or that sockets exist; it has
no clock and no I/O. It is the server's half: `client/` has the other one, and a test holds the two
together.
"""

from protocol.codec import Fault, decode, encode, encode_events, encode_refusal
from protocol.codes import CloseCode, Code, Retry
from protocol.session import Phase, Session

__all__ = [
    "CloseCode",
    "Code",
    "Fault",
    "Phase",
    "Retry",
    "Session",
    "decode",
    "encode",
    "encode_events",
    "encode_refusal",
]
