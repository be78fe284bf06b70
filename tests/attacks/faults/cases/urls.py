"""Answers that hold a URL: where it points."""

from __future__ import annotations

from tests.attacks.faults.expectation import (
    BAD_CONTENT,
    BAD_CONTENT_LOST,
    GUARDED,
    LOST,
    MANY,
    SUCCESS,
    Fault,
    Range,
    grouped,
)
from tests.attacks.faults.marker import write

REFUSED = (
    "image URLs may point to the endpoint's own origin or to public addresses; else download_refused; G13"
)
NO_IMAGE = "URL refused or down: pending, fetched by the next run"
SHAPES = "url: string, list, relative or data: (API.md 5); own origin is allowed"
CHECKED = "check: what does not decode is quarantined whole"

SOME: Range = (1, MANY)


def _url(name: str) -> str:
    return write("link", url=name)


HOME = (
    *(
        Fault(f"url_{kind}", does, _url(kind), (SUCCESS,), SHAPES, gets=SOME)
        for kind, does in (
            ("own", "a URL of the endpoint's origin"),
            ("relative", "a path"),
            ("same_scheme", "//host:port/path"),
            ("upper", "HTTP:// in capitals"),
            ("fragment", "a fragment behind it"),
            ("odd_query", "raw spaces, umlauts and a broken escape in its query"),
            ("in_list", "a list of one"),
        )
    ),
    Fault("url_data_uri", "a data: URI", _url("data_uri"), (SUCCESS,), SHAPES),
    Fault("url_data_uri_html", "a data: URI of a page", _url("data_uri_html"), (BAD_CONTENT,), CHECKED),
    Fault("url_data_uri_cut", "a data: URI cut short", _url("data_uri_cut"), (BAD_CONTENT,), CHECKED),
    Fault(
        "url_list_empty",
        "an empty list",
        _url("list_empty"),
        (BAD_CONTENT,),
        "evidence: data without an image",
    ),
    Fault(
        "url_padded", "spaces around it", _url("padded"), (SUCCESS, LOST, GUARDED, BAD_CONTENT_LOST), SHAPES
    ),
    Fault("url_words", "words instead of a URL", _url("words"), (LOST, GUARDED, BAD_CONTENT_LOST), NO_IMAGE),
)

AWAY = (
    *(
        Fault(f"url_{kind}", does, _url(kind), (GUARDED,), REFUSED)
        for kind, does in (
            ("port", "another port of the endpoint's host"),
            ("address", "127.0.0.2"),
            ("v6", "[::1]"),
            ("localhost", "the DNS name of loopback, another port"),
            ("any", "0.0.0.0"),
            ("decimal", "127.0.0.1 as one decimal number"),
            ("hex", "127.0.0.1 as one hex number"),
            ("octal", "127.0.0.1 with an octal part"),
            ("short", "127.1"),
            ("mapped", "127.0.0.1 mapped into IPv6"),
            ("mapped_hex", "the same in hex"),
            ("compatible", "127.0.0.1 as IPv4-compatible IPv6"),
            ("sixtofour", "127.0.0.1 in 6to4"),
            ("nat64", "127.0.0.1 behind NAT64"),
            ("unique_local", "fd00::1"),
            ("link_local_v6", "fe80::1"),
            ("private_10", "10.0.0.1"),
            ("private_172", "172.16.0.1"),
            ("private_192", "192.168.1.1"),
            ("metadata", "169.254.169.254"),
            ("metadata_v6", "fd00:ec2::254"),
            ("carrier", "100.64.0.1"),
            ("multicast", "224.0.0.1"),
            ("broadcast", "255.255.255.255"),
            ("userinfo", "the endpoint as user info of another port"),
            ("closed_port", "a port where nothing listens"),
            ("https_port", "https to another port"),
            ("file", "file:///etc/passwd"),
            ("ftp", "ftp:"),
            ("javascript", "javascript:"),
        )
    ),
    Fault(
        "url_backslash", "a backslash before @", _url("backslash"), (GUARDED, LOST, BAD_CONTENT_LOST), REFUSED
    ),
    Fault(
        "url_unknown_host", "a name that does not resolve", _url("unknown_host"), (LOST, GUARDED), NO_IMAGE
    ),
    *(
        Fault(f"url_{kind}", does, _url(kind), (GUARDED, LOST, BAD_CONTENT_LOST), REFUSED)
        for kind, does in (
            ("no_host", "no host"),
            ("bad_port", "port 99999"),
            ("bad_bracket", "an open bracket"),
        )
    ),
)


FAULTS = (
    *grouped("url at home", HOME, response_format="url"),
    *grouped("url abroad", AWAY, response_format="url"),
)
