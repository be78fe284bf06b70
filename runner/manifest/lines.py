"""Text files as numbered physical lines: byte order marks, UTF-16, mixed line ends, bytes that are not UTF-8.

A physical line ends with LF, CR LF or a lone CR, and keeps its end. Memory is bounded by the longest allowed line.
"""

from __future__ import annotations

import codecs
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

MAX_LINE_BYTES = 4 * 1024 * 1024
"""A longer physical line is a malformed record."""

MAX_RECORD_BYTES = 1024 * 1024
"""A quoted record is given up as unclosed when so much text has passed since the line it starts on."""

FIRST_CHUNK_BYTES = 16 * 1024
CHUNK_BYTES = 64 * 1024
"""How much is read at once. Going back to a line copies references to the lines after it in its chunk."""

TOO_LONG_LINE = "�\n"
"""Stands for a line that is too long: not blank, without quotes or separators."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks; UTF-32 before UTF-16, whose mark begins its own."""


class Readable(Protocol):
    """A binary stream: `read(size)` gives at most `size` bytes, and b"" only at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Consecutive lines. first: number of the first, from 1. problems: line number -> why the line is malformed.

    bytes: their length in the text, as UTF-8.
    """

    first: int
    lines: list[str]
    bytes: int
    problems: dict[int, str] = field(default_factory=dict)


def utf8_chunks(file: Readable) -> tuple[Iterator[bytes], int | None]:
    """The text as UTF-8 without a byte order mark, and the offset in the file of its first byte.

    The offset is None for UTF-16 and UTF-32, which are re-encoded; what they cannot encode comes out as invalid UTF-8.
    """
    head = file.read(FIRST_CHUNK_BYTES)
    mark, encoding = next((pair for pair in MARKS if head.startswith(pair[0])), (b"", "utf-8"))
    chunks = chain((head[len(mark) :],), iter(lambda: file.read(CHUNK_BYTES), b""))
    if encoding == "utf-8":
        return chunks, len(mark)
    return _reencoded(chunks, encoding), None


def _reencoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:  # half a code unit at the end of the file
        yield b"\xff"


def text_chunks(file: Readable) -> Iterator[str]:
    """The text without lines; bytes that are not UTF-8 come as lone surrogates."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in utf8_chunks(file)[0]:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", True)


def line_blocks(file: Readable) -> Iterator[LineBlock]:
    """The file's lines, a chunk at a time; a line with a problem is replaced by a harmless one."""
    chunks, offset = utf8_chunks(file)
    first = 1
    for data, skipped_bytes in _whole_lines(chunks):
        if skipped_bytes:
            problem = f"the line has more than {MAX_LINE_BYTES >> 20} MiB; shorten it or remove it"
            block = LineBlock(first, [TOO_LONG_LINE], len(TOO_LONG_LINE), {first: problem})
        else:
            block = _decoded(data, first, offset)
        yield block
        first += len(block.lines)
        offset = None if offset is None else offset + (skipped_bytes or len(data))


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Pairs: whole lines and 0, or b"" and the length in bytes of a line that is too long."""
    rest, skipped = b"", 0
    for chunk in chunks:
        data = rest + chunk
        if skipped or _first_line_bytes(data) > MAX_LINE_BYTES:
            end = _first_end(data)
            if not end:
                held = data.endswith(b"\r")
                skipped += len(data) - held
                rest = b"\r" * held
                continue
            yield b"", skipped + end
            data, skipped = data[end:], 0
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(0, len(data) - 1))) + 1
        if cut:
            yield data[:cut], 0
        rest = data[cut:]
    if skipped or _first_line_bytes(rest) > MAX_LINE_BYTES:
        yield b"", skipped + len(rest)
    elif rest:
        yield rest, 0


def _first_line_bytes(data: bytes) -> int:
    """Bytes before the first line end, or of everything where there is none; not counted if few."""
    if len(data) <= MAX_LINE_BYTES:
        return 0
    ends = (data.find(b"\n", 0, MAX_LINE_BYTES + 1), data.find(b"\r", 0, MAX_LINE_BYTES + 1))
    return min((end for end in ends if end >= 0), default=len(data))


def _first_end(data: bytes) -> int:
    """Where the first line stops; 0 if it may go on. A CR at the very end may be half of CR LF."""
    lf = data.find(b"\n")
    cr = data.find(b"\r", 0, lf if lf >= 0 else len(data))
    alone = cr >= 0 and cr + 1 not in (lf, len(data))
    return cr + 1 if alone else lf + 1


def _decoded(data: bytes, first: int, offset: int | None) -> LineBlock:
    try:
        return LineBlock(first, list(io.StringIO(data.decode(), newline="")), len(data))
    except UnicodeDecodeError:
        block = LineBlock(first, [], len(data))
    for line in data.splitlines(keepends=True):
        try:
            block.lines.append(line.decode())
        except UnicodeDecodeError as error:
            block.problems[first + len(block.lines)] = not_utf8(error, offset)
            block.lines.append(line.decode("utf-8", "surrogateescape"))
        offset = None if offset is None else offset + len(line)
    return block


def not_utf8(error: UnicodeDecodeError, offset: int | None) -> str:
    """What is wrong and how to mend it. offset: in the file, of the bytes that were decoded; None: unknown."""
    if offset is None:
        return "the text holds half a character (an unpaired surrogate); save the file as UTF-8"
    byte = error.object[error.start]
    return (
        f"byte {offset + error.start:,} of the file (0x{byte:02x}) is not UTF-8; convert the file first, "
        "for example with: iconv -f WINDOWS-1252 -t UTF-8"
    )


class UnclosedRecord(Exception):
    """Much text has passed and the record that `Lines.hold` points at has not ended."""


class Lines:
    """Numbered lines that can be read again from `hold` on.

    hold: number of the line that reading may go back to; the reader advances it. Blocks before it are dropped.
    passed_bytes: length of the lines given out for the first time so far, as UTF-8.
    """

    def __init__(self, blocks: Iterator[LineBlock]) -> None:
        self._blocks = blocks
        self._kept: deque[LineBlock] = deque()
        self._problems: dict[int, str] = {}
        self.hold = 1
        self.passed_bytes = 0

    def read_from(self, number: int) -> Iterator[str]:
        """The lines from `number` on. Raises `UnclosedRecord` when `hold` lies too far behind."""
        return chain.from_iterable(self._lists_from(number))

    def problem(self, start: int, stop: int) -> str | None:
        """What is wrong with the first malformed line of `start` to `stop - 1`, if one is."""
        if not self._problems:
            return None
        return next((self._problems[at] for at in range(start, stop) if at in self._problems), None)

    def _lists_from(self, number: int) -> Iterator[list[str]]:
        while True:
            kept = (block for block in self._kept if block.first + len(block.lines) > number)
            block = next(kept, None) or self._pull()
            if block is None:
                return
            end = block.first + len(block.lines)
            if end > number:
                yield block.lines[max(0, number - block.first) :]
                number = end

    def _pull(self) -> LineBlock | None:
        while self._kept and self._kept[0].first + len(self._kept[0].lines) <= self.hold:
            block = self._kept.popleft()
            for number in block.problems:
                del self._problems[number]
        if sum(block.bytes for block in islice(self._kept, 1, None)) > MAX_RECORD_BYTES:
            raise UnclosedRecord
        block_or_none = next(self._blocks, None)
        if block_or_none is not None:
            self._keep(block_or_none)
        return block_or_none

    def _keep(self, block: LineBlock) -> None:
        self._kept.append(block)
        self._problems.update(block.problems)
        self.passed_bytes += block.bytes
