"""WebP: lossy, lossless, moving; whole or not."""

from __future__ import annotations

import pytest

from runner.artifacts.formats.webp import is_one, read
from schemas.artifacts import NotAnImage
from tests.support.images import drawn, moving, plain

LOSSY, LOSSLESS = drawn("WEBP", size=(50, 31)), drawn("WEBP", size=(50, 31), lossless=True)
EXTENDED = drawn("WEBP", "RGBA", (50, 31), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")


@pytest.mark.parametrize(("data", "kind"), [(LOSSY, b"VP8 "), (LOSSLESS, b"VP8L"), (EXTENDED, b"VP8X")])
def test_every_kind_tells_its_size_and_is_decoded(data: bytes, kind: bytes) -> None:
    assert (data[12:16], is_one(data)) == (kind, True)
    structure = read(data)
    assert (structure.width, structure.height, structure.flags) == (50, 31, ())
    assert structure.decode() is False


def test_every_frame_is_decoded() -> None:
    data = moving("WEBP", 4)
    assert read(data).decode() is False
    assert read(data).effort_ns == 4 * read(drawn("WEBP")).effort_ns
    at = data.rindex(b"VP8")
    with pytest.raises((NotAnImage, OSError, EOFError)):
        read(data[:at] + bytes(len(data) - at)).decode()


@pytest.mark.parametrize("data", [LOSSY, LOSSLESS, EXTENDED])
def test_a_byte_less_or_more_is_noticed(data: bytes) -> None:
    with pytest.raises(NotAnImage):
        read(data[:-1])
    assert read(data + b"more").flags == ("trailing_bytes",)


def test_what_is_none_inside_is_refused() -> None:
    with pytest.raises(NotAnImage, match="VP9"):
        read(LOSSY.replace(b"VP8 ", b"VP9 "))


@pytest.mark.parametrize("lossless", [False, True])
def test_one_colour_is_told(lossless: bool) -> None:
    assert read(plain("WEBP", colour=(7, 77, 177))).decode() is True
    assert read(drawn("WEBP", lossless=lossless)).decode() is False
