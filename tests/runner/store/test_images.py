"""What is kept as an image: whole ones of formats that can be checked, told from the bytes alone."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from runner.artifacts.atomic_files import Folder
from runner.artifacts.image_checks import Looked, differences, look
from runner.artifacts.image_store import ImageStore
from schemas.artifacts import Asked, Label, NotAnImage
from schemas.outcome import SavedImage
from schemas.request import ImageRequest
from tests.faults.pictures import (
    HTML,
    PLAIN_SIZE,
    bad_crc,
    picture,
    pixel_bomb,
    svg,
    text_bomb,
    without_end,
)

CAP = 64_000_000
SVG = svg("fox")
FORMS = ["PNG", "JPEG", "WEBP", "GIF"]


def looked(data: bytes, asked: str | None = None, *, max_pixels: int = CAP) -> Looked:
    """What the bytes say."""
    return look(data, asked_format=asked, max_pixels=max_pixels)


def refused(data: bytes, asked: str | None = None, *, max_pixels: int = CAP) -> str:
    """Why the bytes are not kept as an image."""
    with pytest.raises(NotAnImage) as problem:
        looked(data, asked, max_pixels=max_pixels)
    return str(problem.value)


def drawn(form: str, mode: str = "RGB", **more: object) -> bytes:
    """A plain image of some colour mode."""
    out = io.BytesIO()
    Image.new(mode, (16, 8)).save(out, form, **more)
    return out.getvalue()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("asked", [None, "png", "webp"])
def test_whole_images_tell_their_format_and_size_whatever_was_asked(form: str, asked: str | None) -> None:
    assert looked(picture("fox", form=form), asked) == Looked(form.lower(), *PLAIN_SIZE)


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
    assert looked(drawn(form, mode)) == Looked(form.lower(), 16, 8)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_a_moving_image_is_an_image(form: str) -> None:
    assert looked(moving(form)) == Looked(form.lower(), 16, 8)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_an_image_cut_anywhere_is_refused(form: str) -> None:
    data = picture("fox", form=form)
    places = {*range(64), *range(64, len(data), 97), *range(len(data) - 24, len(data))}
    assert [place for place in sorted(places) if accepts(data[:place])] == []


def accepts(data: bytes) -> bool:
    """Whether the bytes pass as an image."""
    try:
        looked(data)
    except NotAnImage:
        return False
    return True


def moving(form: str) -> bytes:
    """Three frames, with colour tables of their own."""
    out = io.BytesIO()
    frames = [Image.effect_mandelbrot((16, 8), (-2, -1, 1, i), 9).convert("RGB") for i in (1, 2, 3)]
    frames[0].save(out, form, save_all=True, append_images=frames[1:], comment=b"made by hand")
    return out.getvalue()


@pytest.mark.parametrize("data", [picture("fox", form="GIF"), moving("GIF")])
def test_a_gif_cut_anywhere_in_any_frame_is_refused(data: bytes) -> None:
    assert accepts(data)
    assert [place for place in range(len(data)) if accepts(data[:place])] == []


WITHOUT_DESCRIPTORS = """
import dataclasses, resource, sys
from runner.artifacts.image_checks import look
pictures = [open(name, "rb").read() for name in sys.argv[1:]]
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
print(*(look(data, asked_format=None, max_pixels=10**6).format for data in pictures))
"""


def test_every_format_is_known_when_no_file_can_be_opened_any_more(tmp_path: Path) -> None:
    for form in FORMS:
        (tmp_path / form).write_bytes(picture("fox", form=form))
    command = [sys.executable, "-c", WITHOUT_DESCRIPTORS, *(str(tmp_path / form) for form in FORMS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["png", "jpeg", "webp", "gif"]


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
    refused(pixel_bomb(), max_pixels=10**12)
    try:
        assert looked(text_bomb()).format == "png"
    except NotAnImage as problem:
        assert "does not decode" in str(problem)


@given(st.binary(max_size=200), st.sampled_from(FORMS), st.integers(0, 10_000))
def test_damage_never_gets_further_than_a_refusal(noise: bytes, form: str, at: int) -> None:
    data = picture("fox", form=form)
    place = at % len(data)
    accepts(data[:place] + noise + data[place + len(noise) :])


@pytest.mark.parametrize("form", ["PNG", "GIF"])
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
    assert looked(data, "svg") == Looked("svg", None, None)
    refused(data, None)
    refused(data, "png")


@pytest.mark.parametrize(
    "data", [SVG[:-6], b"<svgx></svg>", HTML + SVG, b"</svg>", b"<html><svg></svg></html>"]
)
def test_what_only_looks_like_svg_is_refused(data: bytes) -> None:
    refused(data, "svg")


def test_another_format_than_svg_is_kept_where_svg_was_asked_for() -> None:
    assert looked(picture("fox"), "svg").format == "png"


def asked(**fields: object) -> Asked:
    """A request with these fields."""
    return Asked.of(ImageRequest("a fox", tuple(fields.items())))


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
    assert differences(Looked("png", 64, 48), asked(**fields)) == flags


def test_jpg_and_jpeg_are_one_format_and_svg_has_no_size_to_differ() -> None:
    assert differences(Looked("jpeg", 8, 8), asked(output_format="jpg")) == ()
    assert differences(Looked("svg", None, None), asked(output_format="svg", size="8x8")) == ()


def test_what_was_asked_for_at_any_length_is_short_enough_to_be_told_to_another_process() -> None:
    found = asked(size="9" * 10**6, output_format="png" * 10**5)
    assert [len(text or "") for text in found] == [100, 100]
    assert differences(Looked("png", 64, 48), found) == ("format_mismatch",)


@pytest.mark.parametrize("form", FORMS)
def test_a_saved_image_is_on_disk_byte_for_byte_with_its_digest(tmp_path: Path, form: str) -> None:
    data = picture("fox", form=form)
    store = ImageStore(Folder(tmp_path), CAP)
    saved = store.save((data,), asked(size="64x48", output_format="png"), Label(1234, 2, "fox-1"))
    ending = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}[form]
    digest = hashlib.sha256(data).hexdigest()
    flags = () if form == "PNG" else ("format_mismatch",)
    name = f"images/0001/fox-1-1234-2.{ending}"
    assert saved == SavedImage(2, name, form.lower(), 64, 48, len(data), digest, None, flags)
    assert (tmp_path / name).read_bytes() == data


def test_nothing_is_on_disk_for_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(NotAnImage):
        ImageStore(Folder(tmp_path), CAP).save((HTML,), asked(), Label(1, 0, "x"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_of_somebody_elses_is_left_alone_and_the_image_gets_a_name_like_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.save("images/0000/x-1-0.png", (b"somebody else's",))
    saved = ImageStore(folder, CAP).save((picture("fox"),), asked(), Label(1, 0, "x"))
    assert (tmp_path / "images/0000/x-1-0.png").read_bytes() == b"somebody else's"
    assert saved.file_name.startswith("images/0000/x-1-0-")
    assert (tmp_path / saved.file_name).read_bytes() == picture("fox")
