"""SVG: a drawing is parsed to its end; without that, its beginning and its end are looked at."""

from __future__ import annotations

import re
from xml.parsers import expat

from runner.artifacts.formats.structure import Structure, broken

_NS_A_BYTE = 64
"""The parser takes a quarter of it, and holds the interpreter's lock meanwhile."""
_ENDLESS_NS = 2**62
"""Entities can stand for any number of bytes."""
_MOST_PARTS = 10_000
"""Comments and declarations before the drawing."""
_BLANKS = re.compile(rb"(?:\xef\xbb\xbf)?\s*")
_PARTS = ((b"<!--", b"-->"), (b"<?", b"?>"))
_DOCTYPE = re.compile(rb"<!DOCTYPE[^>\[]*(?:\[[^\]]*\]\s*)?>")
_ROOT = re.compile(rb"<(?:\w+:)?svg[\s/>]")
_END = re.compile(rb"(?:</(?:\w+:)?svg\s*|/)>\Z")
_LONGEST_END = 64


def read(data: bytes) -> Structure | None:
    """The drawing; None where the bytes begin or end as something else. In one pass, whatever they are."""
    if not _ROOT.match(data, _root_at(data)) or not _END.search(data.rstrip()[-_LONGEST_END:]):
        return None
    effort_ns = _ENDLESS_NS if b"<!ENTITY" in data else len(data) * _NS_A_BYTE
    return Structure(None, None, (), effort_ns, lambda: _parse(data))


def _root_at(data: bytes) -> int:
    """Where the first element begins, behind comments and declarations."""
    at = 0
    for _ in range(_MOST_PARTS):
        if (blank := _BLANKS.match(data, at)) is not None:
            at = blank.end()
        if (doctype := _DOCTYPE.match(data, at)) is not None:
            at = doctype.end()
            continue
        closing = next((closing for opening, closing in _PARTS if data.startswith(opening, at)), None)
        if closing is None:
            return at
        end = data.find(closing, at)
        if end < 0:
            return at
        at = end + len(closing)
    return len(data)


def _parse(data: bytes) -> bool:
    """Whether it is XML throughout; nothing outside it is read. A drawing is of no one colour."""
    parser = expat.ParserCreate()
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise broken(f"the SVG is no XML ({error})") from None
    return False
