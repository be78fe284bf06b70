"""GIF: a walk over its blocks, and its frames decoded."""

from __future__ import annotations

from PIL.GifImagePlugin import GifImageFile

from runner.artifacts.formats import frames
from runner.artifacts.formats.structure import Structure, broken, trailing

SIGNATURES = (b"GIF87a", b"GIF89a")
_MOST_BLOCKS = 2**21
"""A walk of a quarter of a second. Blocks have 255 bytes, but for the last of each frame."""
_EXTENSION, _FRAME, _TRAILER = b"!,;"
_HEAD_BYTES = 13


def read(data: bytes) -> Structure:
    """Walk the blocks of all frames to the trailer. Raises NotAnImage.

    A frame may reach beyond the screen that the head announces, and widens it then.
    """
    try:
        at, width, height, count = _walk(data)
    except IndexError:
        raise broken("the GIF has no end") from None
    if not count or not width or not height:
        raise broken("it has no pixels")
    effort_ns = width * height * count * frames.NS_A_PIXEL
    flags = trailing(data, at + 1)
    return Structure(width, height, flags, effort_ns, lambda: frames.decode(GifImageFile, data, count))


def _walk(data: bytes) -> tuple[int, int, int, int]:
    """Where the trailer stands, width and height, and frames. Raises IndexError where there is no trailer."""
    at, inside = _HEAD_BYTES + _colours(data[10]), False
    width, height = _pair(data, 6)
    count = 0
    for _ in range(_MOST_BLOCKS):
        byte = data[at]
        if inside:
            at, inside = at + byte + 1, byte > 0
        elif byte == _TRAILER:
            return at, width, height, count
        elif byte == _FRAME:
            left, top, across, down = *_pair(data, at + 1), *_pair(data, at + 5)
            width, height = max(width, left + across), max(height, top + down)
            count += 1
            at, inside = at + 11 + _colours(data[at + 9]), True
        else:
            at, inside = (at + 2, True) if byte == _EXTENSION else (at + 1, False)
    raise broken(f"it has more than {_MOST_BLOCKS:,} blocks")


def _pair(data: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")


def _colours(flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    return 3 << (flags % 8 + 1) if flags & 0x80 else 0
