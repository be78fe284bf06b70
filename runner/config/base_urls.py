"""The base URL of a service: its one spelling, and what people paste in its place."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from schemas.providers import PROFILES

_QUERY = re.compile(r"api-version=[\w.-]+", re.ASCII)
"""The one query that a base URL may have: it is part of Azure's address, and no secret."""
_OPERATION = re.compile(
    r"/(images(/(generations|edits|variations))?|models(/[^/]+)?|(chat/)?completions|responses)$"
)
_SUBMIT_QUERY = re.compile(r"async=[a-z0-9]+", re.IGNORECASE)
"""What relays' examples have behind an operation, and imagemill sends by itself where the dialect has it."""
_VERSION = re.compile(r"/v\d|/openai/deployments/")


class BaseUrlFault(ValueError):
    """Why a text is no base URL; it never repeats the URL. suggestion: what was probably meant; "" where nobody can tell."""

    def __init__(self, reason: str, suggestion: str = "") -> None:
        super().__init__(reason)
        self.suggestion = suggestion


def checked_base_url(text: str, *, allow_http: bool) -> str:
    """The base URL with scheme and host in lower case and no trailing slash; it may have `?api-version=…`.

    The URL of a whole operation (`…/v1/images/generations`, `…/v1/models`) is understood. Raises BaseUrlFault.
    """
    url = text.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise BaseUrlFault("is not a URL") from None
    path = parts.path.rstrip("/")
    base = _OPERATION.sub("", path)
    query = "" if base != path and _SUBMIT_QUERY.fullmatch(parts.query) else parts.query
    for fault, reason in (
        (re.search(r"[\s\x00-\x1f\x7f\\]", url), "holds blanks, control characters or backslashes"),
        (parts.scheme not in ("http", "https"), "must begin with https://"),
        (not host, "has no host"),
        ("@" in parts.netloc, "must not hold a user name or password"),
        (
            "#" in url or ("?" in url and query and not _QUERY.fullmatch(query)),
            "must not hold a query or a fragment",
        ),
        (
            parts.scheme == "http" and not allow_http and not is_loopback(host),
            "is plain http, so the key could be read on the way: use https, or --allow-http if you mean it",
        ),
    ):
        if fault:
            raise BaseUrlFault(reason, _suggestion(url))
    return f"{parts.scheme}://{parts.netloc.lower()}{base}{f'?{query}' if query else ''}"


def _suggestion(url: str) -> str:
    """The URL with what is wrong with it mended; "" where that is not plain."""
    if re.search(r"[\s\x00-\x1f\x7f\\]", url):
        return ""
    scheme, mark, rest = url.rpartition("://")
    parts = urlsplit(f"x://{rest}")
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not host or (not mark and "." not in host and not is_loopback(host)):
        return ""
    plain = is_loopback(host) and scheme != "https"
    query = f"?{parts.query}" if _QUERY.fullmatch(parts.query) else ""
    where = f"[{host}]" if ":" in host else host
    where += "" if port is None else f":{port}"
    return f"{'http' if plain else 'https'}://{where}{_OPERATION.sub('', parts.path.rstrip('/'))}{query}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def has_version(base_url: str) -> bool:
    """Whether a base URL goes down to a version (`/v1`), or to what stands in its place."""
    return _VERSION.search(urlsplit(base_url).path) is not None


def profile_known_by(base_url: str) -> str | None:
    """The profile of a service that gives each customer an address, by its path or its host; None where none is known."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    for profile in PROFILES.values():
        if host.endswith(profile.hosts) or (profile.path and re.search(profile.path, parts.path)):
            return profile.name
    return None
