"""WebP: its outer chunk, and its frames decoded."""

from __future__ import annotations

from PIL.WebPImagePlugin import WebPImageFile

from runner.artifacts.formats import frames
from runner.artifacts.formats.structure import Structure, broken, trailing

_HEAD_BYTES = 8
"""`RIFF` and the number of bytes that follow."""
_LOSSY, _LOSSLESS, _EXTENDED = b"VP8 ", b"VP8L", b"VP8X"
_LARGEST_HEAD = 30


def is_one(data: bytes) -> bool:
    """Whether the file begins as a WebP."""
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def read(data: bytes) -> Structure:
    """Compare its length with what its head says. Raises NotAnImage."""
    end = _HEAD_BYTES + int.from_bytes(data[4:8], "little")
    if len(data) < max(end, _LARGEST_HEAD):
        raise broken("it is cut")
    width, height = _size(data)
    count = max(1, data.count(b"ANMF"))
    effort_ns = width * height * count * frames.NS_A_PIXEL
    flags = trailing(data, end + end % 2)
    return Structure(width, height, flags, effort_ns, lambda: _decode(data))


def _size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == _EXTENDED:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == _LOSSLESS:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == _LOSSY:
        sides = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
        return sides[0] & 0x3FFF, sides[1] & 0x3FFF
    raise broken(f"a WebP does not begin with {kind!r}")


def _decode(data: bytes) -> bool:
    with frames.opened(WebPImageFile, data) as image:
        count: int = getattr(image, "n_frames", 1)
    return frames.decode(WebPImageFile, data, count)
