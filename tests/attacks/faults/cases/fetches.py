"""Answers that hold a URL of the endpoint: how fetching it goes."""

from __future__ import annotations

from tests.attacks.faults.expectation import (
    BAD_CONTENT,
    BAD_CONTENT_LOST,
    GUARDED,
    LOST,
    MANY,
    ODD_PICTURE,
    SUCCESS,
    Fault,
    Range,
    flagged,
    grouped,
)
from tests.attacks.faults.marker import write

GONE = (
    "evidence: URL refused, down or slow: pending, fetched again later in the run and by every next one, free"
)
NO_IMAGE = "a web page or anything that is no image is fetched again like a URL that is down"
AGAIN = "evidence: download again while it may live"
BOUNDED = "G11; G12"
KEY = "the key goes with an image download only to URLs under the base URL itself"
CHECKED = "check: what does not decode is quarantined whole"

SOME: Range = (1, MANY)
TWICE: Range = (2, MANY)


def _get(name: str, **args: object) -> str:
    return write("link", get=name, **args)


LOSSES = (
    *(
        Fault(f"get_{kind}", does, _get(kind), (LOST,), GONE, gets=SOME)
        for kind, does in (
            ("forbidden", "403, expired"),
            ("unauthorized", "401"),
            ("not_found", "404"),
            ("gone", "410"),
            ("server_error", "500 each time"),
            ("unavailable", "503 each time"),
            ("throttled", "429 each time"),
            ("not_modified", "304"),
            ("no_location", "302 without a target"),
            ("cut", "the image cut short each time"),
            ("reset", "RST each time"),
            ("close", "FIN each time"),
            ("garbage", "no HTTP"),
            ("never", "no answer"),
            ("stall", "half of the image, then nothing"),
            ("drip", "one piece every half second"),
        )
    ),
    *(
        Fault(f"get_{kind}_once", does, _get(kind, gets=1), (SUCCESS,), AGAIN, gets=TWICE)
        for kind, does in (
            ("forbidden", "403 once, then the image"),
            ("not_found", "404 once, then the image"),
            ("server_error", "500 once"),
            ("unavailable", "503 once, Retry-After: 1"),
            ("throttled", "429 once, Retry-After: 1"),
            ("cut", "cut short once"),
            ("reset", "RST once"),
            ("close", "FIN once"),
        )
    ),
    *(
        Fault(f"get_{kind}", does, _get(kind), (LOST, BAD_CONTENT_LOST), NO_IMAGE, gets=SOME)
        for kind, does in (
            ("html", "a page under 200"),
            ("html_as_png", "a page called image/png"),
            ("json_error", "an error document under 200"),
            ("nothing", "an empty body under 200"),
            ("partial", "206 with 500 bytes"),
        )
    ),
    *(
        Fault(f"get_{kind}", does, _get(kind), (LOST, BAD_CONTENT_LOST), BOUNDED, gets=SOME)
        for kind, does in (
            ("endless", "2 GB"),
            ("gzip_bomb", "10 MB that inflate to 10 GB"),
        )
    ),
)

FETCHED = (
    Fault(
        "get_octets", "application/octet-stream", _get("octets"), (SUCCESS,), "the bytes decide", gets=SOME
    ),
    Fault("get_unframed", "no length, ended by FIN", _get("unframed"), (SUCCESS,), "G2", gets=SOME),
    Fault("get_pieces", "20 pieces", _get("pieces"), (SUCCESS,), "URL slow", gets=SOME),
    Fault(
        "get_gzip",
        "gzip although identity was asked",
        _get("gzip"),
        (SUCCESS, LOST, BAD_CONTENT_LOST),
        "G2",
        gets=SOME,
    ),
    Fault(
        "get_with_key",
        "below the base URL, the key is needed",
        _get("with_key", base=1),
        (SUCCESS,),
        KEY,
        gets=SOME,
    ),
    Fault(
        "get_without_key",
        "outside the base URL, the key is asked for",
        _get("with_key"),
        (LOST,),
        KEY,
        gets=SOME,
    ),
    Fault(
        "get_out_of_base",
        "redirect out of the base URL",
        _get("out_of_base", base=1),
        (SUCCESS,),
        KEY,
        gets=TWICE,
    ),
    Fault(
        "get_hop",
        "redirect to the same origin",
        _get("hop", gets=1),
        (SUCCESS,),
        "redirects are followed within the guard",
        gets=TWICE,
    ),
    Fault("get_loop", "a redirect to itself", _get("loop"), (LOST, GUARDED), "URL looping; G12", gets=SOME),
    Fault(
        "get_growing_loop",
        "a redirect to ever new URLs",
        _get("growing_loop"),
        (LOST, GUARDED),
        "URL looping; G12",
        gets=SOME,
    ),
    *(
        Fault(
            f"get_to_{kind}",
            f"redirect to {kind}",
            _get(f"to_{kind}"),
            (GUARDED,),
            "URL redirecting to file:, loopback, private, link-local; G13",
            gets=SOME,
        )
        for kind in (
            "file",
            "ftp",
            "port",
            "address",
            "v6",
            "localhost",
            "any",
            "decimal",
            "hex",
            "short",
            "mapped",
            "sixtofour",
            "nat64",
            "unique_local",
            "private_10",
            "private_192",
            "metadata",
            "userinfo",
        )
    ),
    Fault(
        "get_image_jpeg",
        "a jpeg behind the URL, png asked",
        write("link", image="jpeg"),
        (flagged("format_mismatch", own_picture=False),),
        "wrong format: kept, flagged",
        fields={"response_format": "url", "output_format": "png"},
    ),
    Fault(
        "get_image_size",
        "another size behind the URL",
        write("link", image="other_size"),
        (flagged("size_mismatch", own_picture=False),),
        "wrong size: kept, flagged",
        fields={"response_format": "url", "size": "1024x1024"},
    ),
    Fault(
        "get_image_text_bomb",
        "a comment bomb behind the URL",
        write("link", image="text_bomb"),
        (BAD_CONTENT, ODD_PICTURE),
        CHECKED,
    ),
    *(
        Fault(
            f"get_image_{kind}",
            f"{kind} behind the URL",
            write("link", image=kind),
            (BAD_CONTENT,),
            CHECKED,
            gets=SOME,
        )
        for kind in ("pixel_bomb",)
    ),
    *(
        Fault(
            f"get_image_{kind}", f"{kind} behind the URL", write("link", image=kind), (LOST,), GONE, gets=SOME
        )
        for kind in ("cut_png", "bad_crc", "svg")
    ),
)


FAULTS = (
    *grouped("fetch lost", LOSSES, response_format="url"),
    *grouped("fetch", FETCHED, response_format="url"),
)
