"""The HTTP API and the pages: thin translations between HTTP and the server's parts.

Whatever changes money is a command through the same settlement path as a gift over WebSocket; a
route decides who may ask and how the answer looks, and nothing else.
"""

from server.api.context import Context
from server.api.rates import Rates
from server.api.site import build_site

__all__ = ["Context", "Rates", "build_site"]
