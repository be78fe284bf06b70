"""PNG: a walk over its chunks, and its pixels inflated some megabytes at a time.

Where it has wheels, isal does both: a whole run takes 14.4 ms of CPU an image with it and 23.7 with zlib (line `big` of
`python -m tests.bench peers --photos`, 1.6 MB), of which the inflating takes 5.4 and 12.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

from PIL.PngImagePlugin import PngImageFile

from runner.artifacts.formats import frames
from runner.artifacts.formats.structure import Structure, broken, trailing

try:
    from isal import isal_zlib as zlib
except ImportError:  # no wheel for this kind of machine
    import zlib  # type: ignore[no-redef]

_Damaged = cast("type[Exception]", zlib.error)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NS_A_BYTE = 4
"""Of what the pixels inflate to; zlib takes so long."""
_CHUNK = struct.Struct(">I4s")
"""Bytes of its content, and its kind; the content and the checksum of both follow."""
_HEADER = struct.Struct(">IIBBBBB")
_MOST_CHUNKS = 2**18
"""A walk of a quarter of a second. The largest pictures have a quarter of them, with 8 kB in each."""
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Bits a sample may have, and samples a pixel has, by colour type (PNG specification, 11.2.1)."""
_PALETTE = 3
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced picture: first column and row, and the steps to the next ones."""
_MOST_ROWS = 2**16
"""Of a picture that is looked at for one colour, row by row."""
_FILTERS = bytes(range(5))
_PACKED_BYTES, _PIECE_BYTES = 2**21, 2**22
"""Inflated at a time, and held at a time; each step is a turn of the interpreter's lock, so most pictures take one."""


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def bits(self) -> int:
        """Of a pixel."""
        return self.depth * _SAMPLES[self.colour]

    def stripes(self) -> list[tuple[int, int]]:
        """Bytes of a row, its filter included, and rows: of each pass over the picture."""
        passes = _PASSES if self.interlaced else ((0, 0, 1, 1),)
        sizes = [
            (-(-(self.width - x) // dx), -(-(self.height - y) // dy))
            for x, y, dx, dy in passes
            if x < self.width and y < self.height
        ]
        return [(1 + -(-width * self.bits // 8), rows) for width, rows in sizes]


def read(data: bytes) -> Structure:
    """Walk the chunks to the last one and compare their checksums. Raises NotAnImage."""
    view, at = memoryview(data), len(SIGNATURE)
    header, pixels, palette, moving = None, [], False, 0
    for _ in range(_MOST_CHUNKS):
        if len(data) < at + _CHUNK.size:
            raise broken("it has no end")
        size, kind = _CHUNK.unpack_from(data, at)
        start, end = at + _CHUNK.size, at + _CHUNK.size + size
        if zlib.crc32(view[at + 4 : end]).to_bytes(4, "big") != view[end : end + 4]:
            raise broken(f"its chunk {kind!r} is cut or altered")
        at = end + 4
        if header is None:
            header = _header(kind, view[start:end])
        elif kind == b"IDAT":
            pixels.append(view[start:end])
        elif kind == b"IEND":
            break
        palette |= kind == b"PLTE"
        moving += kind == b"fcTL"
    else:
        raise broken(f"it has more than {_MOST_CHUNKS:,} chunks")
    if header is None or not pixels:
        raise broken("it has no pixels")
    if header.colour == _PALETTE and not palette:
        raise broken("it has no palette")
    return _structure(data, header, pixels, moving, trailing(data, at))


def _header(kind: bytes, content: memoryview) -> _Header:
    if kind != b"IHDR" or len(content) != _HEADER.size:
        raise broken("it does not begin with a header")
    width, height, depth, colour, compression, filtering, interlacing = _HEADER.unpack(content)
    known = depth in _DEPTHS.get(colour, ()) and (compression, filtering) == (0, 0) and interlacing in (0, 1)
    if not known or not width or not height:
        raise broken("its header is none of a PNG's")
    return _Header(width, height, depth, colour, bool(interlacing))


def _structure(
    data: bytes, header: _Header, pixels: Sequence[memoryview], moving: int, flags: tuple[str, ...]
) -> Structure:
    size = sum(stride * rows for stride, rows in header.stripes())
    effort_ns = size * NS_A_BYTE + moving * header.width * header.height * frames.NS_A_PIXEL

    def decode() -> bool:
        plain = _decode(header, pixels, size)
        return plain if moving < 2 else frames.decode(PngImageFile, data, moving)

    return Structure(header.width, header.height, flags, effort_ns, decode)


def _decode(header: _Header, pixels: Sequence[memoryview], size: int) -> bool:
    plain = _Plain(header) if header.height <= _MOST_ROWS else None
    for fresh, stride, block in _blocks(_inflated(pixels, size), header.stripes()):
        if bytes(block[::stride]).translate(None, _FILTERS):
            raise broken("a row of its pixels has no filter that there is")
        if plain is not None and not plain.goes_on(block, stride, fresh=fresh):
            plain = None
    return plain is not None


def _inflated(pixels: Sequence[memoryview], size: int) -> Iterator[bytes]:
    """The rows as they are stored, `size` bytes of them. Raises NotAnImage where they are more or fewer."""
    inflater, left = zlib.decompressobj(), size
    for part in _joined(pixels):
        packed: bytes | memoryview | None = part
        while packed is not None:
            room = min(_PIECE_BYTES, left + 1)
            try:
                piece = inflater.decompress(packed, room)
            except _Damaged as error:
                raise broken(f"its pixels are damaged ({error})") from None
            left -= len(piece)
            if left < 0:
                raise broken("it has more pixels than its header says")
            yield piece
            tail = inflater.unconsumed_tail
            packed = None if inflater.eof or (not tail and len(piece) < room) else tail
        if inflater.eof:
            break
    if left or not inflater.eof:
        raise broken("its pixels are cut")


def _joined(pixels: Iterable[memoryview]) -> Iterator[bytes | memoryview]:
    """The same bytes in few pieces, none of them large."""
    held: list[memoryview] = []
    size = 0
    for each in pixels:
        for start in range(0, len(each), _PACKED_BYTES):
            part = each[start : start + _PACKED_BYTES]
            if size + len(part) > _PACKED_BYTES:
                yield b"".join(held)
                held, size = [], 0
            held.append(part)
            size += len(part)
    yield held[0] if len(held) == 1 else b"".join(held)


def _blocks(
    pieces: Iterable[bytes], stripes: Sequence[tuple[int, int]]
) -> Iterator[tuple[bool, int, memoryview]]:
    """Whole rows: whether a pass begins with them, bytes a row, and the rows."""
    coming, rest, at = iter(pieces), b"", 0
    for stride, rows in stripes:
        left = rows
        while left:
            whole = min(left, (len(rest) - at) // stride)
            if whole:
                yield left == rows, stride, memoryview(rest)[at : at + whole * stride]
                left, at = left - whole, at + whole * stride
            else:
                rest, at = rest[at:] + next(coming), 0
    for _ in coming:
        pass  # nothing but the end, which is to be seen


class _Plain:
    """Whether rows, as they are stored, are those of a picture of one colour.

    What a filter makes of such a row is known: the colour and zeros, mostly.
    """

    def __init__(self, header: _Header) -> None:
        self._unit = max(1, header.bits // 8)
        self._samples = 8 // header.bits if header.bits < 8 else 1
        self._bits = header.bits
        self._colour = b""

    def goes_on(self, block: memoryview, stride: int, *, fresh: bool) -> bool:
        """Whether these rows are such. fresh: the first is the first of a pass."""
        if not self._colour:
            self._colour = bytes(block[1 : 1 + self._unit])
            if self._samples > 1 and not self._repeats(self._colour[0]):
                return False
        whole = stride if self._samples == 1 else stride - 1  # the last byte may be filled up with anything
        first, others = self._rows(stride - 1)
        for start in range(0, len(block), stride):
            expected = first if fresh and not start else others
            if bytes(block[start + 1 : start + whole]) != expected[block[start]][: whole - 1]:
                return False
        return True

    def _repeats(self, byte: int) -> bool:
        """Whether all pixels of a byte are the same."""
        sample = byte & ((1 << self._bits) - 1)
        return byte == sum(sample << (self._bits * place) for place in range(self._samples))

    def _rows(self, size: int) -> tuple[list[bytes], list[bytes]]:
        """The row of so many bytes by filter (none, sub, up, average, Paeth): the first of a pass, and the others."""
        colour, pixels = self._colour, size // self._unit
        half = bytes(value - value // 2 for value in colour)
        once = colour + bytes(size - self._unit)
        first = [colour * pixels, once, colour * pixels, colour + half * (pixels - 1), once]
        others = [colour * pixels, once, bytes(size), half + bytes(size - self._unit), bytes(size)]
        return first, others
