"""Answers under 200 whose images, revised prompts or counts are wrong or unusual."""

from __future__ import annotations

from dataclasses import replace

from tests.attacks.faults.expectation import (
    BAD_CONTENT,
    BAD_CONTENT_LOST,
    ODD_PICTURE,
    SUCCESS,
    End,
    Fault,
    flagged,
    grouped,
)
from tests.attacks.faults.marker import write

UNUSABLE = "evidence: 200 whole, content unusable: paid, quarantine, row failed"
KEPT = "G2: a response that was received is kept as an image"
TOLERATED = "missing created, usage, revised_prompt; null fields"
FORMATS = "any format is kept as received; one that was not asked for is flagged, unless we cannot check it"
WHOLE_FILE = (
    "check: the bytes decode, end where the format ends, within the pixel cap; else quarantined whole"
)
COUNTS = "more images than asked are kept and flagged; fewer leave the missing indexes failed, bad_content"

MISSING = End("failed", "bad_content", billed=(0, 1), quarantine=None, flags=frozenset({"fewer_images"}))


def _image(kind: str) -> str:
    return write("image", kind=kind)


_MISMATCH = flagged("format_mismatch", own_picture=False)
_PNG = {"response_format": "b64_json", "output_format": "png"}

IMAGES = (
    *(
        Fault(
            f"image_{kind}_for_png",
            f"{kind} although png was asked",
            _image(kind),
            (_MISMATCH,),
            FORMATS,
            fields=_PNG,
        )
        for kind in ("jpeg", "webp", "gif")
    ),
    Fault("image_jpeg_unasked", "jpeg, no format asked", _image("jpeg"), (ODD_PICTURE,), FORMATS),
    Fault(
        "image_svg_asked",
        "svg, asked for",
        _image("svg"),
        (ODD_PICTURE,),
        FORMATS,
        fields=_PNG | {"output_format": "svg"},
    ),
    Fault(
        "image_svg_comments",
        "svg behind 90 comments, asked for",
        _image("svg_comments"),
        (ODD_PICTURE,),
        FORMATS,
        fields=_PNG | {"output_format": "svg"},
    ),
    *(
        Fault(
            f"image_{kind}",
            does,
            _image(kind),
            (BAD_CONTENT,),
            WHOLE_FILE + "; in linear time",
            fields=_PNG | {"output_format": "svg"},
        )
        for kind, does in (
            ("svg_comments_only", "45 comments and no svg, asked for"),
            ("svg_no_xml", "svg that is no XML, asked for"),
        )
    ),
    Fault("image_mpo", "a JPEG with a second picture", _image("mpo"), (ODD_PICTURE,), FORMATS),
    Fault(
        "image_many_scans",
        "a JPEG of 400 scans, which takes a second to decode",
        _image("many_scans"),
        (ODD_PICTURE,),
        "every check has a deadline",
    ),
    Fault(
        "image_one_colour",
        "a picture of one colour",
        _image("one_colour"),
        (flagged("blank_image", own_picture=False),),
        "flag blank_image",
    ),
    Fault("image_svg_unasked", "svg, not asked for", _image("svg"), (BAD_CONTENT,), FORMATS, fields=_PNG),
    Fault("image_tiff_unasked", "tiff, not asked for", _image("tiff"), (BAD_CONTENT,), FORMATS, fields=_PNG),
    Fault(
        "image_size",
        "40x24 although 1024x1024 was asked",
        _image("other_size"),
        (flagged("size_mismatch", own_picture=False),),
        "wrong size: flagged",
        fields=_PNG | {"size": "1024x1024"},
    ),
    *(
        Fault(
            f"image_{kind}",
            f"{kind.removeprefix('cut_')} cut short",
            _image(kind),
            (BAD_CONTENT,),
            WHOLE_FILE,
            fields=_PNG | {"output_format": kind.removeprefix("cut_")},
        )
        for kind in ("cut_png", "cut_jpeg", "cut_webp", "cut_gif")
    ),
    *(
        Fault(f"image_{kind}", does, _image(kind), (BAD_CONTENT,), WHOLE_FILE)
        for kind, does in (
            ("html", "a page in base64"),
            ("text", "a sentence in base64"),
            ("one_byte", "one byte"),
            ("signature", "the PNG signature alone"),
            ("no_iend", "a PNG without its last chunk"),
            ("jpeg_no_end", "a JPEG without its end marker"),
            ("bad_crc", "a PNG with a wrong checksum"),
            ("zeros_inside", "a PNG with 2,000 zeros in its middle"),
            ("pixel_bomb", "a PNG of 50,000 x 50,000"),
            ("no_pixels", "a PNG of 0 x 0"),
            ("no_zlib", "a PNG whose pixels are no zlib stream, with right checksums"),
            ("empty_idat", "a PNG whose IDAT is empty"),
            ("half_the_rows", "a PNG with half of its rows"),
            ("too_many_rows", "a PNG with a row too many"),
        )
    ),
    *(
        Fault(f"image_{kind}", does, _image(kind), (BAD_CONTENT, ODD_PICTURE), WHOLE_FILE)
        for kind, does in (
            ("trailing", "a PNG with trailing garbage"),
            ("html_after", "a PNG with a script after its end"),
            ("text_bomb", "a PNG whose comment inflates to 200 MB"),
        )
    ),
)

REVISED = (
    *(
        Fault(f"revised_{kind}", does, write("revised", kind=kind), (SUCCESS,), why)
        for kind, does, why in (
            ("absent", "no revised_prompt", TOLERATED),
            ("null", "revised_prompt null", TOLERATED),
            ("number", "revised_prompt a number", TOLERATED),
            ("list", "revised_prompt a list", TOLERATED),
            ("vast", "revised_prompt of 2 MB", "G11; " + KEPT),
            ("escapes", "terminal escapes and markup", "texts are data: no escape reaches the terminal"),
            (
                "surrogate",
                "half a surrogate pair",
                "G0, G8: results.parquet is written whatever the service says",
            ),
            ("nul", "NUL and an escape", "G0, G8: results.parquet is written whatever the service says"),
            ("key", "the key", "G14: the key is in no file"),
            ("formula", "a spreadsheet formula and a script", "texts are data"),
        )
    ),
    Fault("revised_not_utf8", "bytes that are no UTF-8", write("raw_utf8"), (SUCCESS, BAD_CONTENT), KEPT),
)


def _n(count: int) -> dict[str, str]:
    return {"response_format": "b64_json", "n": str(count)}


COUNTED = (
    Fault("count_all_ten", "ten of ten", write("count"), (SUCCESS,), "n from 1 to 10", fields=_n(10)),
    Fault(
        "count_fewer",
        "two of three",
        write("count", sent=2),
        (),
        COUNTS,
        fields=_n(3),
        by_index=((SUCCESS,), (SUCCESS,), (MISSING,)),
    ),
    Fault("count_none", "none of two", write("count", sent=0), (BAD_CONTENT_LOST,), UNUSABLE, fields=_n(2)),
    Fault(
        "count_more",
        "three of one",
        write("count", sent=3),
        (flagged("extra_images"),),
        COUNTS,
        fields=_n(1),
        saved=3,
    ),
    Fault(
        "count_broken_last",
        "two, the second no base64",
        write("count", broken=1),
        (),
        UNUSABLE,
        fields=_n(2),
        by_index=(
            (replace(SUCCESS, quarantine=None),),
            (End("failed", "bad_content", billed=(0, 1), quarantine=True),),
        ),
    ),
    Fault(
        "count_same_twice",
        "the same picture twice",
        write("count", same=1),
        (),
        "flag duplicate_image",
        fields=_n(2),
        by_index=((SUCCESS,), (flagged("duplicate_image", own_picture=False),)),
    ),
    Fault(
        "form_b64_for_url",
        "base64 although url was asked",
        write("other_form", kind="b64"),
        (SUCCESS,),
        "what came back decides",
        fields={"response_format": "url"},
    ),
    Fault(
        "form_url_for_b64",
        "url although base64 was asked",
        write("other_form", kind="url"),
        (SUCCESS,),
        "what came back decides",
    ),
    Fault(
        "form_both", "base64 and url", write("other_form", kind="both"), (SUCCESS,), "what came back decides"
    ),
    Fault("cached_picture", "a cache's picture", write("cached"), (ODD_PICTURE,), KEPT),
)


FAULTS = (
    *grouped("image", IMAGES, response_format="b64_json"),
    *grouped("revised prompt", REVISED, response_format="b64_json"),
    *grouped("count and form", COUNTED, response_format="b64_json"),
)
