r"""Fields of a tab-separated line, where a quote is text unless it must be quoting.

Prompt sets are published as TSV without quoting (PartiPrompts: `"G I G G L E" painted in ...`), spreadsheets and pandas
write TSV with it. A field is read as quoted only if it starts with a quote, ends with one directly before a tab or the
line's end, doubles every quote inside, and could not have been written plainly: it holds a tab, a line end or a doubled
quote. Where the field holds a tab or a line end, the record must also come out with the header's number of fields; and
lines that it runs over must not each do so as plain text, or two prompts that happen to start and to end with a quote
would swallow each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_QUOTED = re.compile(r'"((?:[^"]++|"")*+)"(?=[\t\r\n]|\Z)')
_STILL_OPEN = re.compile(r'"(?:[^"]++|"")*+\Z')
_CLOSES_NOTHING = re.compile(r'(?:[^"]++|"")*+\Z')
_NEEDS_QUOTES = re.compile(r'[\t\r\n]|""')
_PLAIN = re.compile(r"[^\t\r\n]*+")

_ALL_QUOTED = re.compile(r'"(?:[^"]++|"")*+"(?:\t"(?:[^"]++|"")*+")*+(?:\r\n|\r|\n|\Z)')


def is_all_quoted(line: str) -> bool:
    """Whether every field of this line is quoted, so that the file's writer quotes by rule."""
    return _ALL_QUOTED.match(line) is not None


def header_fields(line: str) -> list[str]:
    """The fields of the header, which is one line."""
    return _fields(line, run_on=False)[0]


def split_record(line: str, following: Iterator[str], width: int, max_chars: int) -> tuple[list[str], int]:
    """The fields of the record that starts with `line`, and how many physical lines it takes.

    following: the lines after it, asked for only while a quoted field is open. width: fields in the header.
    max_chars: how far to look for the end of a quoted field. A wrong number of fields is for the caller to see.
    """
    fields, open_at = _fields(line)
    span = [line]
    text = line
    while open_at is not None:
        tail = _until_quote(following, max_chars) if len(fields) < width else []
        if not tail:
            return _single_line(line, width), 1
        max_chars -= sum(map(len, tail))
        span += tail
        text = text[open_at:] + "".join(tail)
        more, open_at = _fields(text)
        fields += more
    if len(fields) != width or (len(span) > 1 and _all_plain(span, width)):
        return _single_line(line, width), 1
    return fields, len(span)


def _single_line(line: str, width: int) -> list[str]:
    """The fields of a record that is one line: with tabs inside quotes if that gives `width` fields, else without."""
    fields = _fields(line, run_on=False)[0]
    return fields if len(fields) == width else _fields(line, run_on=False, tabs_inside=False)[0]


def _fields(text: str, *, run_on: bool = True, tabs_inside: bool = True) -> tuple[list[str], int | None]:
    """Fields up to the line's end, and where a field starts that `text` leaves open (None: there is none).

    run_on: whether a quoted field may run over the end of `text`. tabs_inside: whether it may hold tabs.
    """
    fields = []
    at = 0
    while True:
        found = _QUOTED.match(text, at)
        if found is not None and not tabs_inside and "\t" in found[1]:
            found = None
        if found is not None and _NEEDS_QUOTES.search(found[1]):
            fields.append(found[1].replace('""', '"'))
        elif run_on and found is None and _STILL_OPEN.match(text, at):
            return fields, at
        else:
            found = _PLAIN.match(text, at)
            assert found is not None  # it matches nothing, too
            fields.append(found[0])
        at = found.end() + 1
        if text[at - 1 : at] != "\t":
            return fields, None


def _until_quote(following: Iterator[str], max_chars: int) -> list[str]:
    """Lines up to the first with a quote that is not doubled; none when it does not come in time."""
    lines = []
    for line in following:
        lines.append(line)
        max_chars -= len(line)
        if max_chars < 0:
            return []
        if not _CLOSES_NOTHING.match(line):
            return lines
    return []


def _all_plain(span: Sequence[str], width: int) -> bool:
    """Whether each line makes a record of its own when quotes mean nothing."""
    return width > 1 and all(line.count("\t") == width - 1 for line in span)
