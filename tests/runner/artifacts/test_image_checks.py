"""What is kept as an image: whole ones of formats that can be checked, told from the bytes alone."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.naming import EXTENSIONS
from runner.artifacts.image_checks import PATIENCE_NS, ImageInfo, SlowCheck, inspect_image, mismatch_flags
from schemas.artifacts import Check, NotAnImage, RequestedFormat
from schemas.request import ImageRequest
from tests.attacks.faults.pictures import (
    HTML,
    PLAIN_SIZE,
    bad_crc,
    picture,
    pixel_bomb,
    svg,
    text_bomb,
    without_end,
)
from tests.support.images import drawn, header, jpeg_of_scans, moving, mpo, plain, png

CAP = 64_000_000
STRUCTURE = Check(CAP, decode=False)
SVG = svg("fox")
FORMS = ["PNG", "JPEG", "WEBP", "GIF"]


def looked(data: bytes, asked: str | None = None, *, max_pixels: int = CAP) -> ImageInfo:
    """What the bytes say."""
    return inspect_image(data, asked_format=asked, check=Check(max_pixels))


def refused(data: bytes, asked: str | None = None, *, max_pixels: int = CAP) -> str:
    """Why the bytes are not kept as an image."""
    with pytest.raises(NotAnImage) as problem:
        looked(data, asked, max_pixels=max_pixels)
    return str(problem.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("asked", [None, "png", "webp"])
def test_whole_images_tell_their_format_and_size_whatever_was_asked(form: str, asked: str | None) -> None:
    assert looked(picture("fox", form=form), asked) == ImageInfo(form.lower(), *PLAIN_SIZE)


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("PNG", "I;16"),
        ("JPEG", "CMYK"),
        ("JPEG", "L"),
        ("WEBP", "RGBA"),
    ],
)
def test_every_colour_mode_will_do(form: str, mode: str) -> None:
    assert looked(drawn(form, mode)) == ImageInfo(form.lower(), 16, 8)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_a_moving_image_is_an_image(form: str) -> None:
    assert looked(moving(form)) == ImageInfo(form.lower(), 16, 8)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_an_image_cut_anywhere_is_refused(form: str) -> None:
    data = picture("fox", form=form)
    places = {*range(64), *range(64, len(data), 97), *range(len(data) - 24, len(data))}
    assert [place for place in sorted(places) if accepts(data[:place])] == []


def undecodable() -> bytes:
    """A PNG whose checksums are right and whose pixels are none."""
    return png(header(8, 8), [b"not a zlib stream"])


def accepts(data: bytes) -> bool:
    """Whether the bytes pass as an image."""
    try:
        looked(data)
    except NotAnImage:
        return False
    return True


@pytest.mark.parametrize("data", [picture("fox", form="GIF"), moving("GIF")])
def test_a_gif_cut_anywhere_in_any_frame_is_refused(data: bytes) -> None:
    assert accepts(data)
    assert [place for place in range(len(data)) if accepts(data[:place])] == []


def with_exif(content: bytes = b"II*\0\x08\0\0\0\0\0") -> bytes:
    """A JPEG with EXIF data, which Pillow reads for the resolution when nothing else tells it."""
    data = drawn("JPEG")
    segment = b"Exif\0\0" + content
    jfif = 4 + int.from_bytes(data[4:6], "big")
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[jfif:]


WITHOUT_DESCRIPTORS = """
import resource, sys
from runner.artifacts.image_checks import inspect_image
from schemas.artifacts import Check
pictures = [open(name, "rb").read() for name in sys.argv[1:]]
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
print(*(inspect_image(data, asked_format=None, check=Check(10**6)).format for data in pictures))
"""


def test_every_format_is_known_when_no_file_can_be_opened_any_more(tmp_path: Path) -> None:
    pictures = [picture("fox", form=form) for form in FORMS]
    pictures += [moving("GIF"), moving("PNG"), moving("WEBP"), mpo(), with_exif()]
    names = [str(tmp_path / str(number)) for number in range(len(pictures))]
    for name, data in zip(names, pictures, strict=True):
        Path(name).write_bytes(data)
    command = [sys.executable, "-c", WITHOUT_DESCRIPTORS, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["png", "jpeg", "webp", "gif", "gif", "png", "webp", "jpeg", "jpeg"]


def test_a_png_whose_checksum_is_wrong_is_refused() -> None:
    assert "does not decode" in refused(bad_crc(picture("fox")))


def test_a_png_without_its_end_is_refused() -> None:
    refused(without_end(picture("fox")))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 100, HTML, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x00\x00\x00\x00WEBP"],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize("form", ["TIFF", "BMP", "ICO", "PPM"])
def test_formats_that_were_not_asked_for_and_are_not_checked_are_refused(form: str) -> None:
    assert "no PNG, JPEG, WebP or GIF" in refused(drawn(form))


def test_the_refusal_shows_how_the_bytes_begin() -> None:
    assert "b'<!DOCTYPE ht'" in refused(HTML)


def test_more_pixels_than_allowed_are_refused_before_they_are_decoded() -> None:
    data = picture("fox", size=(300, 200))
    assert looked(data, max_pixels=60_000).width == 300
    assert "300x200 pixels are more than" in refused(data, max_pixels=59_999)


def test_bombs_are_refused_or_held_within_bounds() -> None:
    refused(pixel_bomb())
    with pytest.raises(SlowCheck):
        inspect_image(pixel_bomb(), asked_format=None, check=Check(10**12), patience_ns=PATIENCE_NS)
    assert looked(text_bomb()).format == "png"


@given(st.binary(max_size=200), st.sampled_from(FORMS), st.integers(0, 10_000))
def test_damage_never_gets_further_than_a_refusal(noise: bytes, form: str, at: int) -> None:
    data = picture("fox", form=form)
    place = at % len(data)
    accepts(data[:place] + noise + data[place + len(noise) :])


@pytest.mark.parametrize("form", FORMS)
def test_bytes_after_the_end_are_flagged_and_kept(form: str) -> None:
    assert looked(picture("fox", form=form) + b"\n").flags == ("trailing_bytes",)


@pytest.mark.parametrize(
    "data",
    [
        SVG,
        b'<?xml version="1.0"?>\n' + SVG,
        b"<!-- made by hand -->\n" + SVG + b"\n",
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">' + SVG,
    ],
)
def test_svg_is_kept_only_where_it_was_asked_for(data: bytes) -> None:
    assert looked(data, "svg") == ImageInfo("svg", None, None)
    refused(data, None)
    refused(data, "png")


@pytest.mark.parametrize(
    "data", [SVG[:-6], b"<svgx></svg>", HTML + SVG, b"</svg>", b"<html><svg></svg></html>"]
)
def test_what_only_looks_like_svg_is_refused(data: bytes) -> None:
    refused(data, "svg")


def test_another_format_than_svg_is_kept_where_svg_was_asked_for() -> None:
    assert looked(picture("fox"), "svg").format == "png"


BEYOND_ITS_END = with_exif(b"II*\0\x08\0\0\0\1\0" + b"\x1a\1\5\0\1\0\0\0\xff\xff\xff\0")
"""EXIF data of which Pillow warns."""


def test_the_warnings_of_decoders_are_nobodys_business_in_any_thread() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with Image.open(io.BytesIO(BEYOND_ITS_END)):
            assert [str(each.message) for each in seen] != []
        seen.clear()
        before = list(warnings.filters)
        threads = [
            threading.Thread(target=lambda: [looked(BEYOND_ITS_END) for _ in range(50)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (seen, warnings.filters) == ([], before)


def test_what_has_a_second_picture_behind_it_is_a_jpeg() -> None:
    """Pillow calls it MPO, for which no file has a name."""
    with Image.open(io.BytesIO(mpo())) as image:
        assert image.format == "MPO"
    assert looked(mpo()) == ImageInfo("jpeg", 16, 8)


def test_each_format_that_is_told_has_a_name_for_its_files() -> None:
    seen = {looked(picture("fox", form=form)).format for form in FORMS} | {looked(SVG, "svg").format}
    assert seen == set(EXTENSIONS)


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_of_one_colour_is_flagged_unless_only_its_structure_counts(form: str) -> None:
    data = plain(form, colour=(200, 30, 40))
    assert looked(data).flags == ("blank_image",)
    assert inspect_image(data, asked_format=None, check=STRUCTURE).flags == ()
    assert looked(drawn(form)).flags == ()


def test_without_decoding_the_checksums_and_the_end_of_a_png_count() -> None:
    data = undecodable()
    assert "does not decode" in refused(data)
    assert inspect_image(data, asked_format=None, check=STRUCTURE) == ImageInfo("png", 8, 8)
    for other in (data[:-1], bad_crc(picture("fox"))):
        with pytest.raises(NotAnImage):
            inspect_image(other, asked_format=None, check=STRUCTURE)


def test_without_decoding_the_beginning_and_the_end_of_a_drawing_count() -> None:
    for data in (b"<svg><g></svg>", b"<svg>&nothing;</svg>"):
        assert "the SVG is no XML" in refused(data, "svg")
        assert inspect_image(data, asked_format="svg", check=STRUCTURE) == ImageInfo("svg", None, None)


SLOW: dict[str, Callable[[], bytes]] = {
    "many scans": lambda: jpeg_of_scans(1000, 400),
    "a large JPEG": lambda: jpeg_of_scans(4200, 1),
    "a large WebP": lambda: plain("WEBP", size=(3000, 3000)),
    "a large PNG": lambda: plain("PNG", "RGBA", (1, 2, 3, 4), size=(4100, 4100)),
    "a large GIF": lambda: plain("GIF", "P", size=(3000, 3000)),
    "many frames": lambda: moving("GIF", 90, size=(320, 320)),
    "many frames of a PNG": lambda: moving("PNG", 90, size=(320, 320)),
    "an entity": lambda: b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>',
    "a large drawing": lambda: b"<svg><!--" + b"x" * 5_000_000 + b"--></svg>",
}


@pytest.mark.parametrize("kind", SLOW)
def test_what_may_take_long_is_told_before_it_is_decoded(kind: str) -> None:
    with pytest.raises(SlowCheck) as slow:
        inspect_image(SLOW[kind](), asked_format="svg", check=Check(CAP), patience_ns=PATIENCE_NS)
    assert slow.value.info.format in EXTENSIONS


@pytest.mark.parametrize("form", FORMS)
def test_what_services_make_takes_no_patience(form: str) -> None:
    data = drawn(form, size=(1536, 1024))
    assert inspect_image(data, asked_format=None, check=Check(CAP), patience_ns=PATIENCE_NS).width == 1536


def asked(**fields: object) -> RequestedFormat:
    """A request with these fields."""
    return RequestedFormat.of_request(ImageRequest("a fox", tuple(fields.items())))


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({}, ()),
        ({"output_format": "png", "size": "64x48"}, ()),
        ({"output_format": "jpeg"}, ("format_mismatch",)),
        ({"output_format": "jpg"}, ("format_mismatch",)),
        ({"size": "1024x1024"}, ("size_mismatch",)),
        ({"size": "48x64"}, ("size_mismatch",)),
        ({"size": "auto"}, ()),
        ({"size": "large"}, ()),
        ({"output_format": "webp", "size": "1x1"}, ("format_mismatch", "size_mismatch")),
    ],
)
def test_what_is_not_as_asked_is_flagged(fields: dict[str, object], flags: tuple[str, ...]) -> None:
    assert mismatch_flags(ImageInfo("png", 64, 48), asked(**fields)) == flags


def test_jpg_and_jpeg_are_one_format_and_svg_has_no_size_to_differ() -> None:
    assert mismatch_flags(ImageInfo("jpeg", 8, 8), asked(output_format="jpg")) == ()
    assert mismatch_flags(ImageInfo("svg", None, None), asked(output_format="svg", size="8x8")) == ()


def test_what_was_asked_for_at_any_length_is_short_enough_to_be_told_to_another_process() -> None:
    found = asked(size="9" * 10**6, output_format="png" * 10**5)
    assert [len(text or "") for text in found] == [100, 100]
    assert mismatch_flags(ImageInfo("png", 64, 48), found) == ("format_mismatch",)
