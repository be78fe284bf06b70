"""URLs of images, as services write them."""

from __future__ import annotations

import re

from yarl import URL

_LEGAL_URL = re.compile(r"[\w.~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)


def as_written(text: str) -> URL:
    """The URL without any quoting undone or redone, which would break a signature over it; quoted where it must be."""
    return URL(text, encoded=_LEGAL_URL.fullmatch(text) is not None)


def whole(base: URL, url: str) -> str:
    """A URL that may be relative to `base`; as it is where it cannot be read as one."""
    try:
        return url if "://" in url else str(base.join(as_written(url)))
    except (ValueError, TypeError):
        return url


def at_home(url: str) -> str:
    """Its path and query, to be fetched from another host; as it is where it cannot be read as one."""
    try:
        return as_written(url).raw_path_qs if "://" in url else url
    except (ValueError, TypeError):
        return url


def is_bare_name(url: str) -> bool:
    """Whether it names a host that only some local network can know."""
    try:
        return "." not in (as_written(url).host or ".")
    except (ValueError, TypeError):
        return False
