"""JPEG: its segments and scans, and what stands behind the first picture."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

from runner.artifacts.formats.jpeg import read
from schemas.artifacts import NotAnImage
from tests.support.images import drawn, jpeg_of_scans, moving, mpo, plain

END = b"\xff\xd9"


def segment(marker: int, content: bytes) -> bytes:
    """A segment with its length."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """The JPEG with these segments before all others."""
    return data[:2] + b"".join(segments) + data[2:]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}]
)
def test_every_kind_is_decoded(mode: str, options: dict[str, object]) -> None:
    structure = read(drawn("JPEG", mode, (100, 61), **options))
    assert (structure.width, structure.height, structure.flags) == (100, 61, ())
    assert structure.decode() is False


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 8), (9, 7), (2000, 3), (3, 2000)])
def test_every_size_is_decoded(size: tuple[int, int]) -> None:
    structure = read(drawn("JPEG", size=size))
    assert (structure.width, structure.height) == size
    structure.decode()


def test_a_second_picture_belongs_to_it_and_other_bytes_are_flagged() -> None:
    assert read(mpo()).flags == ()
    assert read(mpo()).decode() is False
    assert read(drawn("JPEG") + b"more").flags == ("trailing_bytes",)


def test_what_stands_behind_the_first_picture_may_be_broken() -> None:
    end = mpo().index(END) + 2
    for rest in (b"", b"\xff\xd8\xff", mpo()[end:-100]):
        assert read(mpo()[:end] + rest).decode() is False


def test_a_picture_within_a_segment_is_not_its_end() -> None:
    """A phone's preview: cut behind it, the JPEG has no end."""
    data = with_segments(drawn("JPEG", size=(64, 64)), segment(0xE1, b"Exif\0\0" + drawn("JPEG")))
    assert read(data).decode() is False
    with pytest.raises(NotAnImage, match="no end"):
        read(data[:-2])


FORGIVING = """
import sys
from PIL import ImageFile
from runner.artifacts.image_checks import inspect_image
from schemas.artifacts import Check, NotAnImage
ImageFile.LOAD_TRUNCATED_IMAGES = True
try:
    print(inspect_image(sys.stdin.buffer.read(), asked_format=None, check=Check(10**6)))
except NotAnImage as problem:
    print("refused:", problem)
"""


def test_a_cut_one_is_refused_where_the_program_has_told_pillow_to_forgive() -> None:
    """As notebooks for training do."""
    data = drawn("JPEG", size=(200, 200))
    for cut, answer in ((len(data), "ImageInfo"), (len(data) * 2 // 3, "refused:")):
        done = subprocess.run(
            [sys.executable, "-c", FORGIVING], input=data[:cut], capture_output=True, check=True
        )
        assert done.stdout.decode().startswith(answer)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff" + END[1:],
        b"\xff\xd8" + segment(0xE0, b"JFIF\0") + END,
        b"\xff\xd8" + segment(0xC0, bytes(3)) + END,
        drawn("JPEG")[: drawn("JPEG").index(b"\xff\xda")] + END,
        with_segments(drawn("JPEG"), *[segment(0xFE, b"")] * 70_000),
    ],
)
def test_what_has_no_picture_or_a_flood_of_segments_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImage):
        read(data)


def test_a_scan_is_effort_however_few_its_bytes() -> None:
    """Each passes over all pixels."""
    few, many = read(jpeg_of_scans(500, 10)), read(jpeg_of_scans(500, 1000))
    assert many.effort_ns > 50 * few.effort_ns


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_one_colour_is_not_taken_from_the_means_of_blocks(options: dict[str, object]) -> None:
    import io

    chequered, out = Image.new("L", (64, 64)), io.BytesIO()
    chequered.putdata([255 * ((x + y) % 2) for y in range(64) for x in range(64)])
    chequered.save(out, "JPEG", quality=95, **options)
    assert read(out.getvalue()).decode() is False
    assert read(plain("JPEG", colour=(9, 99, 199), size=(64, 61))).decode() is True


def test_frames_are_for_other_formats() -> None:
    with pytest.raises(NotAnImage):
        read(moving("GIF"))
