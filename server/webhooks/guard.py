"""Where webhooks may go: never to the operator's own network.

Whoever may set an endpoint chooses what this server connects to, and the server sits where much is
reachable that the world is not to see: databases, admin pages, the cloud's metadata (SSRF). So a
name is resolved here, every address that it has is checked, and the connection goes to the very
address that was checked. Checking first and letting the HTTP client resolve again would leave a
gap in which the name may change (DNS rebinding).
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable

import httpcore
import httpx

URL_CHARACTERS_MAX = 2_000
ADDRESSES_MAX = 8
"""Addresses of one name that are looked at; more than any honest receiver has."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_CLOSED = [
    ipaddress.ip_network(block)
    for block in (
        # IANA's IPv4 special-purpose registry, multicast, reserved.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # a public address that means the host inside of Azure
        # Of the global IPv6 addresses: protocol assignments with Teredo, documentation, 6to4.
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
]
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
"""All else is loopback, local, multicast, or IPv4 in disguise (mapped, NAT64)."""


class AddressRefused(httpcore.ConnectError):
    """We do not connect to that. The text is for the operator."""


def is_open(address: str) -> bool:
    """Whether an address belongs to the public internet."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed not in _GLOBAL_IPV6:
        return False
    return parsed.is_global and not any(parsed in block for block in _CLOSED)


async def resolve(host: str, port: int) -> list[str]:
    """Every address that the system's resolver has for a name. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Guard(httpcore.AsyncNetworkBackend):
    """Opens the connections of the pool that posts. `allow_private` is for tests and for receivers
    in the operator's own network."""

    def __init__(self, *, allow_private: bool, resolve: Resolve = resolve) -> None:
        self.allow_private = allow_private
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def check_url(self, url: str) -> str | None:
        """Why an endpoint may not have this URL, as a sentence; None when it may.

        A name that cannot be resolved now is let through: every try resolves and checks again.
        """
        wrong = self.check_spelling(url)
        if wrong:
            return wrong
        parsed = httpx.URL(url)
        try:
            await self.addresses(parsed.raw_host.decode("ascii"), parsed.port or 443)
        except AddressRefused as refused:
            return str(refused)
        except (OSError, UnicodeError):
            return None
        return None

    def check_spelling(self, url: str) -> str | None:
        """What is wrong with a URL by itself, whoever its host is."""
        parsed = _parsed(url)
        if isinstance(parsed, str):
            return parsed
        if parsed.scheme != "https" and not (parsed.scheme == "http" and self.allow_private):
            return "A webhook's URL begins with https://."
        host = parsed.raw_host.decode("ascii")
        if not host:
            return "A webhook's URL names a host."
        if _odd_number(host):
            return "Write the host as a name or as an address in its usual form."
        return None

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to. Raises AddressRefused when one of them is not open, OSError
        when there are none."""
        found = await self._resolve(host, port)
        if not self.allow_private and not all(map(is_open, found)):
            raise AddressRefused(
                f"{host} leads into a private or reserved network; webhooks go to public addresses."
            )
        if not found:
            raise OSError(f"{host} has no address.")
        return found[:ADDRESSES_MAX]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an address that was checked. TLS then asks for the certificate of the name.

        Raises AddressRefused, httpcore.ConnectError.
        """
        try:
            addresses = await self.addresses(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}.") from error
        failed: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise httpcore.ConnectError(f"{host} cannot be reached: {failed}.") from failed

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("A webhook does not go to a socket file.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _parsed(url: str) -> httpx.URL | str:
    """The URL, or what is wrong with the way it is written."""
    if len(url) > URL_CHARACTERS_MAX:
        return f"A webhook's URL has at most {URL_CHARACTERS_MAX} characters."
    if re.search(r"[\x00-\x20\x7f\\]", url):
        return "A webhook's URL has no spaces, control characters or backslashes."
    try:
        parsed = httpx.URL(url)
        well_formed = parsed.port is None or 0 < parsed.port < 65_536
    except (httpx.InvalidURL, ValueError):
        well_formed = False
    if not well_formed:
        return "This is not a URL; write one such as https://example.com/hooks."
    if parsed.userinfo or "@" in url.partition("://")[2].partition("/")[0]:
        return "A webhook's URL carries no user name or password; the signature says who sends."
    if parsed.fragment or "#" in url:
        return "A webhook's URL has no fragment (#)."
    return parsed


def _odd_number(host: str) -> bool:
    """Whether it is an address in a spelling that programs read differently: 127.1, 0x7f000001,
    2130706433, 0177.0.0.1."""
    if ":" in host:
        return False
    last = host.rstrip(".").rpartition(".")[2]
    if not re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]*", last):
        return False
    try:
        return str(ipaddress.IPv4Address(host)) != host
    except ValueError:
        return True
