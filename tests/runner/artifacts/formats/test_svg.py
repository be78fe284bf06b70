"""SVG: what is a drawing, in time that grows with its bytes and no faster."""

from __future__ import annotations

import pytest

from runner.artifacts.formats.svg import read
from schemas.artifacts import NotAnImage

COMMENTS = b"".join(b"<!-- layer %d: made by a tool, see its licence -->\n" % number for number in range(90))
SUBSET = (
    b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x" [\n  <!ENTITY ns "http://www.w3.org/2000/svg">\n]>\n'
)


@pytest.mark.parametrize(
    "data",
    [
        b"<svg></svg>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"\xef\xbb\xbf<svg>\xc3\xa9</svg>\n",
        b'<?xml version="1.0"?>\n' + COMMENTS + b"<svg></svg>",
        b"<?xml version='1.0'?><?xml-stylesheet href='a.css'?><!DOCTYPE svg><svg>\n</svg >",
        SUBSET + b'<svg xmlns="&ns;"></svg>',
        b'<svg:svg xmlns:svg="http://www.w3.org/2000/svg"></svg:svg>',
        b"<!-- <html> --><svg><!-- </svg> --></svg>",
    ],
)
def test_a_drawing_may_begin_and_end_in_many_ways(data: bytes) -> None:
    structure = read(data)
    assert structure is not None
    assert structure.decode() is False


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svgx></svgx>",
        b"<html><svg></svg></html>",
        b"<svg>",
        b"<svg></svg><p>",
        b"<!-- <svg></svg>",
        b"<!---->" * 45 + b"<g></g></svg>",
        b"<!---->" * 1_000_000 + b"<svg></svg>",
        b"<!--" * 1_000_000 + b"</svg>",
        b"<!DOCTYPE " * 100_000 + b"</svg>",
        b"<?" * 1_000_000 + b"</svg>",
        b" " * 5_000_000 + b"</svg>",
        b"<!DOCTYPE svg [" + b"<" * 1_000_000 + b"</svg>",
    ],
    ids=range(13),
)
def test_what_is_no_drawing_is_seen_at_once(data: bytes) -> None:
    """Some of these took two to the power of their comments."""
    assert read(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"<svg><g></svg>",
        b"<svg>&nothing;</svg>",
        b"<svg><path d='M0 0></svg>",
        b"<svg></svg><svg></svg>",
        b"<svg>\xff\xfe</svg>",
        b"<svg>\0</svg>",
    ],
)
def test_what_is_no_xml_is_refused(data: bytes) -> None:
    structure = read(data)
    assert structure is not None
    with pytest.raises(NotAnImage, match="no XML"):
        structure.decode()


def test_entities_can_mean_any_number_of_bytes() -> None:
    structure, other = read(SUBSET + b"<svg></svg>"), read(b"<svg></svg>")
    assert structure is not None and other is not None
    assert structure.effort_ns > 10**12 > other.effort_ns


def test_nothing_outside_it_is_read(tmp_path: object) -> None:
    data = b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/hostname">]><svg>&x;</svg>'
    structure = read(data)
    assert structure is not None
    assert structure.decode() is False
