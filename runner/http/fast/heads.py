"""What stands before the body of a plain answer: HTTP/1.1, a length that is told, nothing done to the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from yarl import URL

MOST_HEAD_BYTES = 2**14
_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5]\d\d)(?: [^\x00-\x08\x0a-\x1f\x7f]*)?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*)\r\n"
)
"""A status line and fields, as RFC 9112 has them; no folded lines."""
_FIELD = re.compile(r"([^:\n]+):[ \t]*([^\r\n]*?)[ \t]*\r\n")
_BODILESS = (204, 205, 304)


class Head(NamedTuple):
    """What stands before a plain body. headers: lower-case names. length: of the body, which begins at `start`.

    keeps: the connection may be used again.
    """

    status: int
    headers: Mapping[str, str]
    length: int
    start: int
    keeps: bool


def plain(came: bytes) -> Head | None:
    """The head that an answer begins with; None for anything that is not plain, or not all here."""
    found = _HEAD.match(came, 0, MOST_HEAD_BYTES)
    if found is None:
        return None
    status = int(found[1])
    headers: dict[str, str] = {}
    for name, value in _FIELD.findall(found[2].decode("utf-8", "surrogateescape")):
        low = name.lower()
        if low in headers and low in ("content-length", "connection"):
            return None
        headers[low] = value
    length = headers.get("content-length", "")
    told = length.isascii() and length.isdigit() and len(length) < 16
    if not told or "transfer-encoding" in headers or "content-encoding" in headers or status in _BODILESS:
        return None
    return Head(
        status, headers, int(length), found.end(), "close" not in headers.get("connection", "").lower()
    )


def start_of_post(url: URL, headers: Mapping[str, str]) -> bytes:
    """The line of a POST, its host, and these fields; more of them may follow. Raises ValueError as `fields` does."""
    first = f"POST {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}\r\n"
    return first.encode() + fields(headers)


def fields(headers: Mapping[str, str]) -> bytes:
    """Fields of a head. Raises ValueError for a name or value that would be more than one field."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a line break in a header")
    return lines.encode()
