"""When a quote in a TSV means quoting."""

from __future__ import annotations

import pytest

from runner.manifest.formats.tsv import header_fields, is_all_quoted, split_record

FIRST_LINES = [
    # line, width, following lines, fields, lines taken
    ("a\tb\n", 2, [], ["a", "b"], 1),
    ("a\tb", 2, [], ["a", "b"], 1),
    ("\t\n", 2, [], ["", ""], 1),
    ('"a"\t"b"\n', 2, [], ['"a"', '"b"'], 1),
    ('"a b" c\td\n', 2, [], ['"a b" c', "d"], 1),
    ('"a\tb"\tc\n', 2, [], ["a\tb", "c"], 1),
    ('"a\tb"\n', 2, [], ['"a', 'b"'], 1),
    ('\t"\t"\n', 3, [], ["", '"', '"'], 1),
    ('"say ""a"""\t"\t"\n', 3, [], ['say "a"', '"', '"'], 1),
    ('"a\tb"\tc\td\n', 2, [], ['"a', 'b"', "c", "d"], 1),
    ('"a ""b"" c"\td\n', 2, [], ['a "b" c', "d"], 1),
    ('"a ""b" c"\td\n', 2, [], ['"a ""b" c"', "d"], 1),
    ('a "b"\t"c\n', 2, [], ['a "b"', '"c'], 1),
    ('""\t""""\n', 2, [], ['""', '"'], 1),
    ('"a\n', 2, ['b"\tc\n'], ["a\nb", "c"], 2),
    ('"a\r\n', 2, ["\r\n", 'b"\tc\r\n'], ["a\r\n\r\nb", "c"], 3),
    ('a\t"b\n', 2, ['c"\n'], ["a", "b\nc"], 2),
    ('a\t"b\n', 2, ['c"'], ["a", "b\nc"], 2),
    ('"a\tb\n', 2, ['c"\td\n'], ['"a', "b"], 1),
    ('"a\tb\n', 2, ["x\n", 'c"\td\n'], ["a\tb\nx\nc", "d"], 3),
    ('"a\tb\n', 2, ['c" d\te\n'], ['"a', "b"], 1),
    ('"a\n', 2, ['b"\tc\td\n'], ['"a'], 1),
    ('"a\n', 2, ['b"\n'], ['"a'], 1),
    ('"a\n', 2, [], ['"a'], 1),
    ('"a\n', 2, ["b\n"] * 9, ['"a'], 1),
    ('"a\n', 2, ['b"\t"c\n', 'd"\n'], ["a\nb", "c\nd"], 3),
    ('"a\n', 3, ['b"\t"c\n', 'd"\t"e\tf"\n'], ["a\nb", "c\nd", "e\tf"], 3),
    ('"a\n', 1, ['b"\n'], ["a\nb"], 2),
]


@pytest.mark.parametrize(("line", "width", "following", "fields", "taken"), FIRST_LINES)
def test_record(line: str, width: int, following: list[str], fields: list[str], taken: int) -> None:
    assert split_record(line, iter(following), width, 1_000) == (fields, taken)


def test_the_end_of_a_quoted_field_is_looked_for_within_bounds() -> None:
    following = iter(["b\n"] * 100)
    assert split_record('"a\n', following, 2, 20) == (['"a'], 1)
    assert len(list(following)) == 89


def test_lines_are_asked_for_only_while_a_field_is_open() -> None:
    following = iter(['b"\tc\n', "next\n"])
    split_record("a\tb\n", following, 2, 1_000)
    split_record('"a\n', following, 2, 1_000)
    assert list(following) == ["next\n"]


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        ('"a"\t"b"\n', True),
        ('"a"', True),
        ('"a ""b"""\r\n', True),
        ("a\n", False),
        ('"a"\tb\n', False),
        ('"a" b\n', False),
        ('"a\n', False),
    ],
)
def test_a_header_quoted_throughout(line: str, quoted: bool) -> None:
    assert is_all_quoted(line) is quoted


def test_header_names() -> None:
    assert header_fields('prompt\t"a ""b"""\t"c\n') == ["prompt", 'a "b"', '"c']
