"""Physical lines of text files: their ends and numbers, byte order marks, lines that are too long, going back to a line."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.manifest.lines import (
    CHUNK_BYTES,
    FIRST_CHUNK_BYTES,
    MAX_LINE_BYTES,
    MAX_RECORD_BYTES,
    TOO_LONG_LINE,
    LineBlock,
    Lines,
    UnclosedRecord,
    line_blocks,
    text_chunks,
    utf8_chunks,
)

PIECES = st.sampled_from(["a", "\n", "\r", "\r\n", "é", "🦊", ",", '"', "\u2028", "\x0b", "\x85", "\ufeff"])
TEXTS = st.lists(PIECES, max_size=30).map("".join)
ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
"""Encoding -> the mark that Python does not write by itself."""


class Dripping:
    """A binary stream that gives the first four bytes at once, for the byte order mark, and then a few at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._file = io.BytesIO(data)
        self._step = step

    def read(self, size: int, /) -> bytes:
        most = self._step if self._file.tell() else max(4, self._step)
        return self._file.read(min(size, most))


def blocks_of(data: bytes, step: int = 2**40) -> list[LineBlock]:
    return list(line_blocks(Dripping(data, step)))


def lines_of(data: bytes, step: int = 2**40) -> list[str]:
    return [line for block in blocks_of(data, step) for line in block.lines]


def problems_of(data: bytes, step: int = 2**40) -> dict[int, str]:
    return {number: text for block in blocks_of(data, step) for number, text in block.problems.items()}


@given(TEXTS, st.sampled_from(sorted(ENCODINGS)), st.integers(1, 5))
@example("aaa\r\nb", "utf-8", 1)
@example("aaaa\r\r\n", "utf-8", 1)
def test_lines_keep_their_ends_wherever_the_file_is_cut(text: str, encoding: str, step: int) -> None:
    text = text.lstrip("\ufeff")  # at the beginning it is a mark, whoever wrote it
    blocks = blocks_of(ENCODINGS[encoding] + text.encode(encoding), step)
    expected = list(io.StringIO(text, newline=""))
    assert [line for block in blocks for line in block.lines] == expected
    starts = [1, *(block.first + len(block.lines) for block in blocks)]
    assert [block.first for block in blocks] == starts[:-1]
    assert [block.bytes for block in blocks] == [len("".join(block.lines).encode()) for block in blocks]
    assert all(block.lines and not block.problems for block in blocks)


@given(TEXTS, st.sampled_from(sorted(ENCODINGS)), st.integers(1, 5))
def test_text_without_lines_is_the_same_text(text: str, encoding: str, step: int) -> None:
    text = text.lstrip("\ufeff")
    assert "".join(text_chunks(Dripping(ENCODINGS[encoding] + text.encode(encoding), step))) == text


def test_bytes_that_are_not_utf8_are_lone_surrogates_in_text_without_lines() -> None:
    assert list(text_chunks(io.BytesIO(b"a\xe9b\xc3"))) == ["a\udce9b", "\udcc3"]


def test_a_file_is_read_in_a_small_chunk_and_then_in_larger_ones() -> None:
    sizes = []

    class Asked(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(size)
            return super().read(size)

    data = b"x" * (FIRST_CHUNK_BYTES + CHUNK_BYTES + 1)
    chunks, offset = utf8_chunks(Asked(data))
    assert (b"".join(chunks), offset) == (data, 0)
    assert sizes == [FIRST_CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES]


@pytest.mark.parametrize(
    ("data", "offset"),
    [(b"a", 0), (codecs.BOM_UTF8 + b"a", 3), (codecs.BOM_UTF16_LE + b"a\0", None), (b"", 0)],
)
def test_the_place_of_the_first_byte_is_known_unless_the_text_is_encoded_anew(
    data: bytes, offset: int | None
) -> None:
    assert utf8_chunks(io.BytesIO(data))[1] == offset


# Lines that are malformed


def test_a_byte_that_is_not_utf8_is_told_with_its_place_in_the_file() -> None:
    data = codecs.BOM_UTF8 + b"good\r\nbad \xe9 word\ngood\rworse \xff\xfe\n"
    for step in (2**40, 1, 7):
        assert lines_of(data, step) == ["good\r\n", "bad \udce9 word\n", "good\r", "worse \udcff\udcfe\n"]
        found = problems_of(data, step)
        assert [*found] == [2, 4]
        assert found[2] == (
            "byte 13 of the file (0xe9) is not UTF-8; convert the file first, "
            "for example with: iconv -f WINDOWS-1252 -t UTF-8"
        )
        assert found[4].startswith("byte 31 of the file (0xff) is not UTF-8; ")


def test_large_places_are_readable() -> None:
    data = b"a\n" * 10_000 + b"\xe9\n"
    assert problems_of(data)[10_001].startswith("byte 20,000 of the file")


@pytest.mark.parametrize(
    ("tail", "shown"),
    [(b"\x00\xd8", "\udcff"), (b"\x00\xd8a\x00", "\udced\udca0\udc80a"), (b"a", "\udcff")],
)
def test_half_a_character_of_utf16_has_no_place_in_the_file(tail: bytes, shown: str) -> None:
    data = codecs.BOM_UTF16_LE + "good\nbad ".encode("utf-16-le") + tail
    assert lines_of(data) == ["good\n", f"bad {shown}"]
    assert problems_of(data) == {
        2: "the text holds half a character (an unpaired surrogate); save the file as UTF-8"
    }


LONGEST = b"x" * MAX_LINE_BYTES
ENDS = [b"\n", b"\r", b"\r\n"]


@pytest.mark.parametrize("end", [b"", *ENDS])
def test_a_line_of_four_mebibytes_is_whole(end: bytes) -> None:
    data = b"a\n" + LONGEST + end + b"b" * bool(end)
    assert [len(line) for line in lines_of(data)] == [2, MAX_LINE_BYTES + len(end), *[1] * bool(end)]
    assert problems_of(data) == {}


@pytest.mark.parametrize("end", [b"", *ENDS])
def test_a_longer_line_is_left_out_and_those_after_it_keep_number_and_place(end: bytes) -> None:
    data = b"a\n" + LONGEST + b"xyz" * CHUNK_BYTES + end + b"\xe9" * bool(end)
    blocks = blocks_of(data)
    lines = [line for block in blocks for line in block.lines]
    assert lines == ["a\n", TOO_LONG_LINE, *["\udce9"] * bool(end)]
    assert [block.bytes for block in blocks][:2] == [2, len(TOO_LONG_LINE)]
    found = problems_of(data)
    assert found.pop(2) == "the line has more than 4 MiB; shorten it or remove it"
    place = 2 + MAX_LINE_BYTES + 3 * CHUNK_BYTES + len(end)
    assert [text.startswith(f"byte {place:,} of the file") for text in found.values()] == [True] * bool(end)


def test_an_end_of_two_characters_may_be_cut_after_a_line_that_is_too_long() -> None:
    for extra in range(3):
        filler = b"x" * (FIRST_CHUNK_BYTES + 70 * CHUNK_BYTES - extra)
        assert lines_of(filler + b"\r\nb\n") == [TOO_LONG_LINE, "b\n"]
        assert lines_of(filler + b"\rb\n") == [TOO_LONG_LINE, "b\n"]


# Going back


def numbered(*sizes: int, long: int = 0) -> Iterator[LineBlock]:
    """Blocks of so many lines, each line its number. long: what each block is said to measure, in bytes."""
    first = 1
    for size in sizes:
        lines = [f"{number}\n" for number in range(first, first + size)]
        yield LineBlock(first, lines, long or len("".join(lines)))
        first += size


def test_lines_are_read_again_from_any_that_is_held() -> None:
    lines = Lines(numbered(3, 1, 4))
    assert list(lines.read_from(1)) == [f"{number}\n" for number in range(1, 9)]
    for start in range(1, 10):
        assert list(lines.read_from(start)) == [f"{number}\n" for number in range(start, 9)]


def test_a_line_further_on_is_found_without_those_before_it() -> None:
    assert list(islice(Lines(numbered(3, 1, 4)).read_from(5), 2)) == ["5\n", "6\n"]


def test_lines_before_the_one_that_is_held_are_let_go() -> None:
    lines = Lines(numbered(2, 2, 2, 2))
    assert len(list(islice(lines.read_from(1), 5))) == 5
    lines.hold = 5
    assert list(lines.read_from(5)) == ["5\n", "6\n", "7\n", "8\n"]
    assert list(lines.read_from(3)) == ["5\n", "6\n", "7\n", "8\n"]


def test_no_more_is_kept_than_a_record_may_have() -> None:
    lines = Lines(numbered(*[1] * 10, long=MAX_RECORD_BYTES // 2))
    reading = lines.read_from(1)
    assert list(islice(reading, 4)) == ["1\n", "2\n", "3\n", "4\n"]
    with pytest.raises(UnclosedRecord):
        next(reading)
    lines.hold = 2
    assert list(islice(lines.read_from(2), 4)) == ["2\n", "3\n", "4\n", "5\n"]


def test_how_much_has_passed_counts_each_line_once() -> None:
    lines = Lines(numbered(2, 2, 2))
    assert lines.passed_bytes == 0
    list(islice(lines.read_from(1), 3))
    assert lines.passed_bytes == 8
    list(lines.read_from(1))
    list(lines.read_from(1))
    assert lines.passed_bytes == 12


def test_the_first_problem_of_a_stretch_of_lines_is_told() -> None:
    blocks = iter(
        (
            LineBlock(1, ["a\n", "b\n"], 4, {2: "two"}),
            LineBlock(3, ["c\n", "d\n"], 4, {3: "three", 4: "four"}),
        )
    )
    lines = Lines(blocks)
    list(lines.read_from(1))
    asked = {(1, 2): None, (1, 3): "two", (2, 5): "two", (3, 5): "three", (4, 5): "four", (5, 9): None}
    assert {stretch: lines.problem(*stretch) for stretch in asked} == asked


def test_a_problem_is_let_go_with_its_line() -> None:
    blocks = iter((LineBlock(1, ["a\n"], 2, {1: "one"}), LineBlock(2, ["b\n"], 2, {2: "two"})))
    lines = Lines(blocks)
    list(islice(lines.read_from(1), 1))
    lines.hold = 2
    list(lines.read_from(2))
    assert (lines.problem(1, 2), lines.problem(1, 3)) == (None, "two")
