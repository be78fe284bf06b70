"""JPEG: a walk over its segments, and its coefficients decoded.

A file with a second picture behind the first (MPO: a phone's depth or gain map) is a JPEG of its first picture.
"""

from __future__ import annotations

import re
import struct

from PIL.JpegImagePlugin import JpegImageFile

from runner.artifacts.formats import frames
from runner.artifacts.formats.structure import Structure, broken, trailing

SIGNATURE = b"\xff\xd8\xff"
_NS_A_PIXEL = 16
"""As many as scans may be for nothing: each takes 0.9 ns a pixel, however few its bytes, and decoding to the end 5."""
_NS_A_BYTE = 10
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
"""What is no stuffed byte and no restart."""
_START_OF_FRAME = bytes({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_END, _SCAN, _APP2 = b"\xd9", b"\xda", b"\xe2"
_MOST_SEGMENTS = 2**16
_SIZE = struct.Struct(">xHH")
_SMALLER = 8
"""The least part of the size to which libjpeg decodes: it reads all, and keeps the mean of each block."""


def read(data: bytes) -> Structure:
    """Walk the segments to the end of the first picture. Raises NotAnImage."""
    at, size, scans, followed = 2, (0, 0), 0, False
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None or found[1] == _END:
            break
        start = found.end()
        at = start + int.from_bytes(data[start : start + 2], "big")
        if found[1] in _START_OF_FRAME and len(data) >= start + 7:
            size = _SIZE.unpack_from(data, start + 2)
        scans += found[1] == _SCAN
        followed |= found[1] == _APP2 and data.startswith(b"MPF\0", start + 2)
    else:
        raise broken(f"it has more than {_MOST_SEGMENTS:,} segments")
    if found is None:
        raise broken("it has no end")
    height, width = size
    if not width or not height or not scans:
        raise broken("it has no pixels")
    flags = () if followed else trailing(data, found.end())
    effort_ns = width * height * max(_NS_A_PIXEL, scans) + len(data) * _NS_A_BYTE
    return Structure(width, height, flags, effort_ns, lambda: _decode(data, width, height))


def _decode(data: bytes, width: int, height: int) -> bool:
    """Every coefficient, at an eighth of the size: half the CPU, and no memory to speak of unless it is progressive.

    Blocks of one mean may still hold a pattern, so the whole picture is decoded where all means are the same.
    """
    with frames.opened(JpegImageFile, data) as image:
        image.draft(None, (max(1, width // _SMALLER), max(1, height // _SMALLER)))
        image.load()
        if frames.colour(image) is None:
            return False
    return frames.decode(JpegImageFile, data, 1)
