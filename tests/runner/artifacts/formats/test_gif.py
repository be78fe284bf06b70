"""GIF: every frame to the trailer."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image

from runner.artifacts.formats.gif import read
from schemas.artifacts import NotAnImage
from tests.support.images import drawn, moving, plain

HEAD = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6)
PIXEL = b"\x02\x02\x4c\x01\x00"
"""One pixel of colour 0, packed."""


def frame(width: int = 1, height: int = 1, *, left: int = 0, top: int = 0) -> bytes:
    """A frame with the data of one pixel."""
    return b"," + struct.pack("<HHHHB", left, top, width, height, 0) + PIXEL


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_every_kind_is_decoded(mode: str) -> None:
    structure = read(drawn("GIF", mode))
    assert (structure.width, structure.height, structure.flags) == (16, 8, ())
    assert structure.decode() is False


@pytest.mark.parametrize(
    "more", [{}, {"disposal": 2}, {"disposal": 3}, {"interlace": 1}, {"comment": b"by hand"}]
)
def test_every_frame_is_decoded(more: dict[str, Any]) -> None:
    assert read(moving("GIF", 5, **more)).decode() is False


def test_a_frame_without_pixels_is_refused_wherever_it_stands() -> None:
    read(HEAD + frame() * 3 + b";").decode()
    for place in range(3):
        cut = frame()[:10] + b"\x02\x00"
        data = HEAD + b"".join(cut if number == place else frame() for number in range(3)) + b";"
        with pytest.raises((NotAnImage, OSError, EOFError)):
            read(data).decode()


def test_a_frame_beyond_the_screen_widens_it() -> None:
    """Pillow makes the picture as large as its frames reach, which is what counts against output.max_pixels."""
    structure = read(HEAD + frame() + frame(60_000, 50_000, left=5_000, top=10_000) + b";")
    assert (structure.width, structure.height) == (65_000, 60_000)


def test_effort_is_of_every_frame() -> None:
    one, many = read(HEAD + frame() + b";"), read(HEAD + frame() * 1000 + b";")
    assert many.effort_ns == 1000 * one.effort_ns


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b";",
        HEAD,
        HEAD + frame(),
        b"GIF89a",
        HEAD + b"!\xfe" + b"\1x" * 2_200_000 + b"\0" + frame() + b";",
    ],
)
def test_without_frames_or_end_or_with_a_flood_of_blocks_it_is_none(data: bytes) -> None:
    with pytest.raises(NotAnImage):
        read(data)


def test_bytes_behind_the_trailer_are_flagged() -> None:
    assert read(drawn("GIF") + b";").flags == ("trailing_bytes",)


def test_one_colour_is_told_only_if_all_frames_have_it() -> None:
    assert read(plain("GIF", colour=(200, 10, 10))).decode() is True
    for other, is_plain in (((200, 10, 10), True), ((10, 10, 200), False)):
        frames, out = [Image.new("RGB", (9, 9), each) for each in ((200, 10, 10), other)], io.BytesIO()
        frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], optimize=False, duration=[1, 2])
        assert read(out.getvalue()).decode() is is_plain


def test_colours_of_a_palette_are_alike_only_where_their_numbers_are_the_same() -> None:
    picture, out = Image.new("P", (16, 16)), io.BytesIO()
    picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.putdata([number % 2 for number in range(256)])
    picture.save(out, "GIF")
    assert read(out.getvalue()).decode() is False
