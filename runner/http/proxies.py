"""Which proxy a request goes through: what HTTP_PROXY, HTTPS_PROXY and NO_PROXY say, in lower or upper case."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from runner.process.redaction import REDACTOR
from schemas.errors import JobError

_PORTS = {"http": 80, "https": 443}
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. Its text is its address, without user name and password.

    authorization: value of the header with them. variable: the one that names it, as it is spelled there.
    """

    scheme: str
    host: str
    port: int
    variable: str
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NoProxy:
    """NO_PROXY: hosts that are reached directly. A name also covers its subdomains; networks are in CIDR notation.

    everything: `*`. names, networks: each with its port, None for all ports.
    """

    everything: bool = False
    names: tuple[tuple[str, int | None], ...] = ()
    networks: tuple[tuple[IPv4Network | IPv6Network, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> NoProxy:
        """The value of NO_PROXY. What cannot be read in it matches nothing."""
        names: list[tuple[str, int | None]] = []
        networks: list[tuple[IPv4Network | IPv6Network, int | None]] = []
        entries = re.split(r"[,\s]+", text.strip().lower())
        for entry in filter(None, entries):
            network = _network(entry)
            if network is not None:
                networks.append((network, None))
                continue
            found = _HOST_AND_PORT.fullmatch(entry)
            if found is None:
                continue
            host, port = found["host"].strip("[]"), int(found["port"]) if found["port"] else None
            network = _network(host)
            if network is not None:
                networks.append((network, port))
            elif name := host.removeprefix("*").strip("."):
                names.append((name, port))
        return cls("*" in entries, tuple(names), tuple(networks))

    def covers(self, host: str, port: int | None) -> bool:
        """Whether this host and port are reached without a proxy."""
        if self.everything:
            return True
        host = host.lower().strip("[]").rstrip(".")
        address = _address(host)
        if address is not None:
            return any(address in network and own in (None, port) for network, own in self.networks)
        return any(
            own in (None, port) and (host == name or host.endswith(f".{name}")) for name, own in self.names
        )


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of an environment, by the scheme of what is asked for. Without any, every request goes directly."""

    by_scheme: Mapping[str, Proxy] = field(default_factory=dict)
    exceptions: NoProxy = NoProxy()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Proxies:
        """The proxies that these variables set. User names and passwords in them are redacted from now on.

        Raises:
            JobError: exit 2, for one that is no URL, or names a proxy of another kind than http and https.
        """
        by_scheme = {}
        for scheme in _PORTS:
            variable, value = _variable(environ, f"{scheme}_proxy")
            if value:
                by_scheme[scheme] = _parsed(variable, value)
        return cls(by_scheme, NoProxy.parse(_variable(environ, "no_proxy")[1]))

    def proxy_for(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """The proxy for a URL of this scheme, host and port; None: it is reached directly."""
        proxy = self.by_scheme.get(scheme)
        return None if proxy is None or self.exceptions.covers(host, port) else proxy

    @property
    def addresses(self) -> frozenset[tuple[str, int | None]]:
        """Host and port of each."""
        return frozenset((proxy.host, proxy.port) for proxy in self.by_scheme.values())


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """A variable's name and value; the lower-case one goes first, and turns the other off when it is empty."""
    name = name if name in environ else name.upper()
    return name, environ.get(name, "").strip()


def _parsed(variable: str, value: str) -> Proxy:
    text = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or re.search(r"\s", text):
        raise JobError(
            f"{variable} is not the URL of a proxy (it is not shown)",
            fix=f"export {variable}=http://host:port, or unset it",
        )
    if parts.scheme not in _PORTS:
        raise JobError(
            f"{variable} names a {parts.scheme} proxy; imagemill speaks with http:// and https:// proxies",
            fix=f"export {variable}=http://host:port, or unset it",
        )
    authorization = None
    if parts.username is not None or parts.password is not None:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        credentials = f"{user}:{password}"
        for secret in (password, parts.password or "", credentials):
            REDACTOR.register(secret)
        authorization = "Basic " + base64.b64encode(credentials.encode()).decode()
    return Proxy(parts.scheme, host, port or _PORTS[parts.scheme], variable, authorization)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
