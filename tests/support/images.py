"""Image files put together by hand: what no encoder writes, and what only a hostile one does."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Of a PNG, by colour type: samples a pixel, and bits that a sample may have."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A PNG's chunk, with the right checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(
    width: int, height: int, depth: int = 8, colour: int = 2, *, interlaced: bool = False, method: int = 0
) -> bytes:
    """The first chunk of a PNG. method: of compression, of which there is one."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, method, 0, interlaced))


def png(head: bytes, packed: Iterable[bytes], *, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG of this header and what stands in its IDAT chunks. before, after: whole chunks beside them."""
    pixels = b"".join(chunk(b"IDAT", each) for each in packed)
    return PNG_SIGNATURE + head + before + pixels + after + chunk(b"IEND")


def passes(width: int, height: int, *, interlaced: bool) -> list[tuple[int, int]]:
    """Pixels a row, and rows, of each pass over a picture."""
    steps = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    return [
        (len(range(x, width, dx)), len(range(y, height, dy)))
        for x, y, dx, dy in steps
        if x < width and y < height
    ]


def filtered(row: bytes, above: bytes, unit: int, kind: int) -> bytes:
    """A row as filter `kind` stores it (PNG specification, 9.2). unit: bytes a pixel, at least one."""
    stored = bytearray((kind,))
    for place, value in enumerate(row):
        left = row[place - unit] if place >= unit else 0
        up = above[place]
        corner = above[place - unit] if place >= unit else 0
        near = left + up - corner
        paeth = min((abs(near - each), number) for number, each in enumerate((left, up, corner)))[1]
        guess = (0, left, up, (left + up) // 2, (left, up, corner)[paeth])[kind]
        stored.append((value - guess) % 256)
    return bytes(stored)


def stored_rows(rows: Sequence[bytes], unit: int, kinds: Sequence[int]) -> bytes:
    """Rows of one pass, each by its filter."""
    above = bytes(len(rows[0]))
    parts = []
    for row, kind in zip(rows, kinds, strict=True):
        parts.append(filtered(row, above, unit, kind))
        above = row
    return b"".join(parts)


def drawn(form: str, mode: str = "RGB", size: tuple[int, int] = (16, 8), **more: object) -> bytes:
    """A picture of some colour mode in which pixels differ."""
    out = io.BytesIO()
    Image.effect_mandelbrot(size, (-2, -1, 1, 1), 90).convert(mode).save(out, form, **more)
    return out.getvalue()


def plain(form: str, mode: str = "RGB", colour: object = 0, size: tuple[int, int] = (32, 24)) -> bytes:
    """A picture of one colour."""
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, form)  # type: ignore[arg-type]
    return out.getvalue()


def moving(form: str, count: int = 3, *, size: tuple[int, int] = (16, 8), **more: Any) -> bytes:
    """Frames that differ, with colour tables of their own."""
    out = io.BytesIO()
    frames = [
        Image.effect_mandelbrot(size, (-2, -1, 1, number), 9).convert("RGB") for number in range(1, count + 1)
    ]
    options: dict[str, object] = {"save_all": True, "append_images": frames[1:], **more}
    frames[0].save(out, form, **options)
    return out.getvalue()


def mpo() -> bytes:
    """A JPEG with a second picture behind it, as phones make them; Pillow calls it MPO."""
    return moving("MPO", 2)


def _segments(data: bytes) -> list[tuple[int, bytes]]:
    """The segments of a JPEG, each with the marker that it begins with and the scan behind it."""
    found, at = [], 2
    while data[at + 1] != 0xD9:
        marker = data[at + 1]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            while data[end] != 0xFF or data[end + 1] in (0, *range(0xD0, 0xD8)):
                end += 1
        found.append((marker, data[at:end]))
        at = end
    return found


def jpeg_of_scans(side: int, scans: int) -> bytes:
    """A square progressive JPEG whose last scan comes so often again; each takes its time, and nearly no bytes."""
    out = io.BytesIO()
    Image.new("L", (side, side), 128).save(out, "JPEG", progressive=True, quality=50)
    segments = _segments(out.getvalue())
    last = max(place for place, (marker, _) in enumerate(segments) if marker == 0xDA)
    body = b"".join(segment for _, segment in segments[: last + 1])
    return b"\xff\xd8" + body + segments[last][1] * scans + b"\xff\xd9"
