"""PNG: what its checksums and its pixels say, of every kind that the specification has; Pillow is the oracle."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from runner.artifacts.formats.png import read
from schemas.artifacts import NotAnImage
from tests.support.images import (
    DEPTHS,
    PNG_SIGNATURE,
    SAMPLES,
    chunk,
    drawn,
    header,
    moving,
    passes,
    plain,
    png,
    stored_rows,
)

KINDS = [(depth, colour) for colour, depths in DEPTHS.items() for depth in depths]
PALETTE = chunk(b"PLTE", bytes(768))


def noise(width: int, height: int, depth: int, colour: int, *, interlaced: bool) -> bytes:
    """Rows as they are stored, of any content and every filter."""
    parts = []
    for across, rows in passes(width, height, interlaced=interlaced):
        size = -(-across * depth * SAMPLES[colour] // 8)
        parts += [bytes([row % 5]) + os.urandom(size) for row in range(rows)]
    return b"".join(parts)


def made(
    width: int, height: int, depth: int, colour: int, stored: bytes, *, interlaced: bool = False, at: int = 0
) -> bytes:
    """A PNG of these rows, whose packed bytes are in one chunk, or in two."""
    packed = zlib.compress(stored)
    parts = [packed[:at], packed[at:]] if at else [packed]
    head = header(width, height, depth, colour, interlaced=interlaced)
    return png(head, parts, before=PALETTE if colour == 3 else b"")


def pillow_decodes(data: bytes) -> bool:
    """What Pillow thinks of it."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def refused(data: bytes) -> str:
    """Why it is none."""
    with pytest.raises(NotAnImage) as problem:
        read(data).decode()
    return str(problem.value)


@pytest.mark.parametrize(("depth", "colour"), KINDS)
@pytest.mark.parametrize("interlaced", [False, True])
def test_every_kind_decodes_at_every_size(depth: int, colour: int, interlaced: bool) -> None:
    for width in range(1, 18):
        for height in (1, 2, 3, 5, 9, 17):
            stored = noise(width, height, depth, colour, interlaced=interlaced)
            data = made(width, height, depth, colour, stored, interlaced=interlaced)
            structure = read(data)
            assert (structure.width, structure.height) == (width, height)
            structure.decode()
            assert pillow_decodes(data)


@pytest.mark.parametrize(("depth", "colour"), KINDS)
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_byte_more_or_less_than_its_pixels_is_refused(depth: int, colour: int, interlaced: bool) -> None:
    stored = noise(13, 11, depth, colour, interlaced=interlaced)
    assert "cut" in refused(made(13, 11, depth, colour, stored[:-1], interlaced=interlaced))
    assert "more pixels" in refused(made(13, 11, depth, colour, stored + b"\0", interlaced=interlaced))


STORED = noise(64, 64, 8, 2, interlaced=False)
PACKED = zlib.compress(STORED)


@pytest.mark.parametrize(
    "packed",
    {
        "not a zlib stream": [b"not a zlib stream"],
        "empty": [b""],
        "half the rows": [zlib.compress(STORED[: len(STORED) // 2])],
        "cut": [PACKED[: len(PACKED) // 2]],
        "cut at its checksum": [PACKED[:-4]],
        "cut within its checksum": [PACKED[:-1]],
        "another checksum": [PACKED[:-1] + bytes([PACKED[-1] ^ 1])],
        "raw deflate, as in files for one phone": [PACKED[2:-4]],
        "a piece missing": [PACKED[:5000], PACKED[5100:]],
        "pieces in the wrong order": [PACKED[5000:], PACKED[:5000]],
        "no rows": [zlib.compress(b"")],
    }.items(),
    ids=lambda case: case[0],
)
def test_chunks_with_right_checksums_and_no_pixels_are_refused(packed: tuple[str, list[bytes]]) -> None:
    assert "does not decode" in refused(png(header(64, 64), packed[1]))


@pytest.mark.parametrize("level", [0, 1, 9])
def test_the_packed_bytes_may_be_in_any_number_of_chunks(level: int) -> None:
    packed = zlib.compress(STORED, level)
    for step in (1, 7, 1000, len(packed)):
        data = png(header(64, 64), [packed[at : at + step] for at in range(0, len(packed), step)])
        assert read(data).decode() is False


def test_bytes_behind_the_packed_ones_in_their_chunk_are_nothing() -> None:
    data = png(header(64, 64), [PACKED + b"more", b"and more"])
    assert pillow_decodes(data)
    assert read(data).decode() is False


@pytest.mark.parametrize("size", [(4000, 1500), (1, 3_000_000), (3_000_000, 1)])
def test_large_ones_are_decoded_by_pieces(size: tuple[int, int]) -> None:
    """Several steps of inflating, with rows across their ends, and rows longer than a step."""
    for stored in (bytes(size[1] * (1 + 3 * size[0])), noise(*size, 8, 2, interlaced=False)):
        data = png(header(*size), [zlib.compress(stored, 0 if stored[-1] else 9)])
        assert read(data).decode() is (size[1] < 100_000 and not any(stored))
        assert "cut" in refused(png(header(size[0], size[1] + 1), [zlib.compress(stored, 1)]))


@pytest.mark.parametrize("kind", [5, 255])
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_filter_that_there_is_not_is_refused(kind: int, interlaced: bool) -> None:
    stored = bytearray(noise(9, 9, 8, 2, interlaced=interlaced))
    across, rows = passes(9, 9, interlaced=interlaced)[-1]
    stored[len(stored) - (1 + 3 * across) * (rows - 1)] = kind
    data = made(9, 9, 8, 2, bytes(stored), interlaced=interlaced)
    assert "filter" in refused(data)
    assert not pillow_decodes(data)


@pytest.mark.parametrize(
    "head",
    [
        header(0, 8),
        header(8, 0),
        header(8, 8, 4, 2),
        header(8, 8, 16, 3),
        header(8, 8, 8, 5),
        header(8, 8, 3, 0),
        header(8, 8, method=1),
        chunk(b"IHDR", bytes(12)),
        chunk(b"tEXt", b"no header"),
        b"",
    ],
)
def test_a_header_that_is_none_is_refused(head: bytes) -> None:
    refused(png(head, [PACKED]))


def test_colours_from_a_palette_need_one() -> None:
    assert "palette" in refused(png(header(8, 8, 8, 3), [zlib.compress(bytes(72))]))


@pytest.mark.parametrize("data", [PNG_SIGNATURE, png(header(8, 8), []), PNG_SIGNATURE + header(8, 8)])
def test_without_pixels_or_end_it_is_none(data: bytes) -> None:
    refused(data)


def test_a_flood_of_chunks_is_refused() -> None:
    """Each takes a moment of the walk, and 256 MB can hold twenty million."""
    assert "chunks" in refused(png(header(8, 8), [PACKED], before=chunk(b"tEXt") * 300_000))


def test_frames_of_a_moving_one_are_decoded_too() -> None:
    data = moving("PNG")
    assert read(data).decode() is False
    at = data.index(b"fdAT", data.index(b"fdAT") + 4)
    size = int.from_bytes(data[at - 4 : at], "big")
    other = data[: at - 4] + chunk(b"fdAT", data[at + 4 : at + 8] + bytes(size - 4)) + data[at + size + 8 :]
    with pytest.raises((NotAnImage, OSError, SyntaxError, ValueError)):
        read(other).decode()


# One colour


def one_colour(
    width: int, height: int, depth: int, colour: int, sample: int, *, interlaced: bool
) -> list[bytearray]:
    """Rows of pixels with this sample throughout, by pass."""
    bits = depth * SAMPLES[colour]
    pixel = sum(sample << (depth * place) for place in range(SAMPLES[colour]))
    found = []
    for across, rows in passes(width, height, interlaced=interlaced):
        size = -(-across * bits // 8)
        number = sum(pixel << (bits * place) for place in range(size * 8 // bits))
        found += [bytearray(number.to_bytes(size, "big")) for _ in range(rows)]
    return found


@given(st.data(), st.sampled_from(KINDS), st.integers(9, 20), st.integers(2, 12), st.booleans())
def test_one_colour_is_told_whatever_the_filters(
    data: st.DataObject, kind: tuple[int, int], width: int, height: int, interlaced: bool
) -> None:
    depth, colour = kind
    unit = max(1, depth * SAMPLES[colour] // 8)
    sample = data.draw(st.integers(0, 2**depth - 1))
    rows = one_colour(width, height, depth, colour, sample, interlaced=interlaced)
    kinds = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    spoilt = data.draw(st.booleans())
    if spoilt:  # another first pixel in the last row
        rows[-1][0] ^= 0x80 >> data.draw(st.integers(0, min(7, depth - 1)))
    stored, at = b"", 0
    for _, count in passes(width, height, interlaced=interlaced):
        stored += stored_rows([bytes(row) for row in rows[at : at + count]], unit, kinds[at : at + count])
        at += count
    made_of = made(width, height, depth, colour, stored, interlaced=interlaced)
    assert read(made_of).decode() is not spoilt


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_what_an_encoder_makes_of_one_colour_is_told(mode: str) -> None:
    assert read(plain("PNG", mode, 1 if mode in ("L", "P", "1", "I;16") else 0)).decode() is True
    assert read(drawn("PNG", mode)).decode() is False


WITHOUT_ISAL = """
import sys
sys.modules["isal"] = None
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def test_it_is_all_the_same_with_zlib_where_isal_has_no_wheel() -> None:
    """This file again, in a process that cannot import isal."""
    if sys.modules.get("isal", "") is None:
        pytest.skip("this is that process")
    command = [sys.executable, "-c", WITHOUT_ISAL, "-k", "not pieces", __file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 skipped" in done.stdout
