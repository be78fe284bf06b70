"""Whether a PNG is whole: every chunk's checksum, and the end; read in pieces, without a copy."""

from __future__ import annotations

import struct
from collections.abc import Sequence

try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this kind of machine; sixteen times as slow
    from zlib import crc32

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">I4s")
_HEADER = struct.Struct(">I4sIIBBBBB")
_HEADER_END = 33
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits a sample by colour type (PNG specification, 11.2.1)."""
_MOST_BYTES = 2**31 - 1


class BrokenPng(Exception):
    """The message says what is wrong."""


class _Reader:
    """Goes through the pieces once."""

    def __init__(self, pieces: Sequence[bytes | bytearray | memoryview]) -> None:
        self._pieces = [memoryview(piece) for piece in pieces if piece]
        self._number = 0
        self._at = 0

    def take(self, size: int) -> bytes:
        """So many bytes, few of them; fewer at the end."""
        return b"".join(self.parts(size))

    def parts(self, size: int) -> list[memoryview]:
        """So many bytes as views, fewer at the end."""
        found = []
        while size and self._number < len(self._pieces):
            part = self._pieces[self._number][self._at : self._at + size]
            found.append(part)
            size -= len(part)
            self._at += len(part)
            if self._at == len(self._pieces[self._number]):
                self._number, self._at = self._number + 1, 0
        return found


def size(start: bytes | bytearray | memoryview) -> tuple[int, int] | None:
    """Width and height in pixels, from the first 33 bytes; None when they are no header of a PNG."""
    if len(start) < _HEADER_END or start[: len(SIGNATURE)] != SIGNATURE:
        return None
    length, kind, width, height, depth, colour, *rest = _HEADER.unpack_from(start, len(SIGNATURE))
    known = depth in _DEPTHS.get(colour, ()) and rest[0] == 0 and rest[1] == 0 and rest[2] in (0, 1)
    if (length, kind) != (13, b"IHDR") or not known or not (0 < width < 2**31 and 0 < height < 2**31):
        return None
    return width, height


def check(pieces: Sequence[bytes | bytearray | memoryview]) -> bool:
    """Whether bytes follow after the end. Raises BrokenPng for a file that is not whole."""
    reader = _Reader(pieces)
    if reader.take(len(SIGNATURE)) != SIGNATURE:
        raise BrokenPng("it has no signature")
    pixels = False
    while True:
        head = reader.take(_HEAD.size)
        if len(head) < _HEAD.size:
            raise BrokenPng("it has no end")
        size, kind = _HEAD.unpack(head)
        if size > _MOST_BYTES:
            raise BrokenPng("a chunk is longer than a chunk can be")
        checksum = crc32(kind)
        seen = 0
        for part in reader.parts(size):
            checksum = crc32(part, checksum)
            seen += len(part)
        if seen < size or reader.take(4) != checksum.to_bytes(4, "big"):
            raise BrokenPng(f"its chunk {kind!r} is cut or altered")
        pixels |= kind == b"IDAT"
        if kind == b"IEND":
            if not pixels:
                raise BrokenPng("it has no pixels")
            return bool(reader.take(1))
