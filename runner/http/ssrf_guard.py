"""Where image downloads may connect: the endpoint's own origin, listed hosts, and public addresses; nothing else.

The check is made on the address that is connected to, not on the name, so a name that resolves to a private address
(now, or differently a moment later) gains nothing. Where a proxy is in between, it resolves names: then a name is refused
that has a private address here, or that could only be one of a local network; what the proxy makes of any other name is
up to the proxy, which is there to decide that.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

_NAT64 = IPv6Network("64:ff9b::/96")
_NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "fec0::/10")))
"""Protocol assignments, local NAT64, documentation, site-local: not all Pythons count them as private."""
_DOCUMENT_PORTS = {"http": 80, "https": 443}
_LOCAL_NAMES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")
"""Reserved for local use (RFC 6761, 6762, 8375 and ICANN's), or used so and never to be public."""
MAX_URL_CHARS = 8192
RESOLVE_TIMEOUT_S = 10.0
NAME_IS_KNOWN_S = 60.0


class DownloadRefused(Exception):
    """The URL points where imagemill does not go. The message names the host, never the URL's query."""


def is_public(address: str) -> bool:
    """Whether a literal IP address is a public one, looking through v4-mapped, 6to4, Teredo and NAT64 forms."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = _embedded(ip)
        if inner is not None:
            return is_public(str(inner))
    if any(ip in network for network in _NOT_PUBLIC):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


class Guard:
    """Decides for one endpoint.

    Args:
        origin: the endpoint's base URL.
        listed: `host` or `host:port` that the user allows.
        proxies: host and port of each proxy. They are connected to whatever address they have; no image is there.
    """

    def __init__(
        self,
        origin: URL,
        listed: Iterable[str] = (),
        proxies: Collection[tuple[str, int | None]] = (),
    ) -> None:
        self._origin = (origin.host or "", origin.port)
        self._base = origin
        self._listed = {entry.lower() for entry in listed}
        self._proxies = frozenset(proxies)
        self._names: dict[str, float] = {}
        """Names that a proxy may be asked for -> until when (event loop's clock)."""

    def allowed(self, host: str, port: int | None) -> bool:
        """Whether this host and port need no public address."""
        host = host.lower()
        return (host, port) == self._origin or host in self._listed or f"{host}:{port}" in self._listed

    def check(self, url: URL) -> None:
        """Refuse what can be refused before a connection is made. Raises DownloadRefused."""
        if url.scheme not in _DOCUMENT_PORTS:
            raise DownloadRefused(
                f"the image's URL has the scheme {url.scheme or 'none'!r}; only http and https are fetched"
            )
        host = url.host
        if not host or url.user is not None or len(str(url)) > MAX_URL_CHARS:
            raise DownloadRefused("the image's URL has no host, a user name, or is too long")
        if self.allowed(host, url.port):
            return
        literal = _literal(host)
        if (url.raw_host or "", url.port) in self._proxies:
            raise DownloadRefused(_message(host, url.port))
        if (literal is None and _numeric(host)) or (literal is not None and not is_public(literal)):
            raise DownloadRefused(_message(host, url.port))

    async def check_before_proxy(self, url: URL) -> None:
        """Refuse a name that a proxy is not to be asked for. Raises DownloadRefused."""
        host, now = url.raw_host or "", asyncio.get_running_loop().time()
        if self.allowed(url.host or "", url.port) or self._names.get(host, 0.0) > now:
            return
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                found = await ThreadedResolver().resolve(host, url.port or 0, socket.AF_UNSPEC)
            is_private = not all(is_public(entry["host"]) for entry in found)
        except (OSError, TimeoutError):
            is_private = _is_local(host)
        if is_private:
            raise DownloadRefused(_message(host, url.port))
        self._names[host] = now + NAME_IS_KNOWN_S

    def may_connect(self, host: str, port: int, addresses: Iterable[str]) -> bool:
        """Whether a connection to one of these addresses of a host may be made."""
        known = self.allowed(host, port) or (host, port) in self._proxies
        return known or all(map(is_public, addresses))

    def same_origin(self, url: URL) -> bool:
        """Whether the URL is the endpoint's own: the same scheme, host and port."""
        return (url.scheme, url.host, url.port) == (self._base.scheme, self._base.host, self._base.port)

    def takes_key(self, url: URL) -> bool:
        """Whether the endpoint's key may go with a request for this URL: only below the base URL itself."""
        base = self._base
        return (
            self.same_origin(url)
            and url.raw_path.startswith(base.raw_path.rstrip("/") + "/")
            and ".." not in url.path
        )


def _literal(host: str) -> str | None:
    """The address that a literal host means, in any spelling that a C library accepts (`127.1`, `0x7f000001`)."""
    try:
        return str(ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _numeric(host: str) -> bool:
    """Whether the host looks like an address, so that a client may connect to it without resolving a name."""
    return ":" in host or host.replace(".", "").isdigit()


def _is_local(host: str) -> bool:
    """Whether a name that is not known here can only be one of a local network."""
    name = host.rstrip(".").lower()
    return "." not in name or name.endswith(_LOCAL_NAMES)


OWN_HOST = "if it is the service's own name for itself: --set endpoint.download_own=true"
"""How images are fetched whose URLs name a container or a machine that nobody else knows by that name."""


def _message(host: str, port: int | None) -> str:
    return (
        f"the image's URL points to {host}, which is not a public address; "
        f'if that is right, list it: --set endpoint.download_hosts=["{host}:{port}"]; {OWN_HOST}'
    )


class GuardedResolver(AbstractResolver):
    """Resolves names for downloads and refuses those of private addresses. Raises DownloadRefused."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of `host`. Raises DownloadRefused unless all are public or the host is allowed, TimeoutError."""
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await self._inner.resolve(host, port, family)
        if not self._guard.may_connect(host, port, [entry["host"] for entry in found]):
            raise DownloadRefused(_message(host, port))
        return found

    async def close(self) -> None:
        """Nothing to close."""
        await self._inner.close()
