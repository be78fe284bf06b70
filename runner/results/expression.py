"""Checks the text of `--where`: resolves column names, and refuses what SQL would read differently than it looks.

The grammar is SQLite's, the names are ours. Each column becomes a stand-in (`c3`), so that an unknown name in double
quotes cannot turn into text, names that differ only in case stay apart, and words of SQL are no trouble as names. Only
the words and signs listed here go on to SQLite: no statement, comment or subselect can be written with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import Enum
from typing import NamedTuple, NoReturn

from schemas.errors import JobError

MAX_CHARS = 10_000
HAS_ITEM = "has_item"
"""What `contains` becomes for a column of lists."""
FUNCTIONS = (
    *(
        "abs",
        "coalesce",
        "contains",
        "endswith",
        "ifnull",
        "iif",
        "json_array_length",
        "json_extract",
        "length",
    ),
    *("lower", "max", "min", "nullif", "round", "startswith", "substr", "trim", "typeof", "upper"),
)

_TOKEN = re.compile(
    r"""
    (?P<blank> \s+ )
    | (?P<text> '[^']*(?:''[^']*)*' )
    | (?P<name> "[^"]*(?:""[^"]*)*" | `[^`]*(?:``[^`]*)*` )
    | (?P<number> (?: 0[xX][0-9a-fA-F]+ | (?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? ) (?!\w) )
    | (?P<word> [^\W\d]\w* )
    | (?P<sign> <= | >= | == | != | <> | -(?!-) | /(?!\*) | [<>=+*%(),] )
    """,
    re.VERBOSE,
)
_COMPARISONS = frozenset({"=", "==", "!=", "<>", "<", "<=", ">", ">="})
_ENDS = frozenset({"", "and", "or"})
"""The tokens beside a truth value; "" at both ends of the text."""
_JOINS = frozenset({"and", "or", "not", "when", "then", "else", ","})
_WORDS = frozenset(
    {
        *("and", "as", "between", "case", "else", "end", "escape", "false", "in", "is", "isnull", "like"),
        *("not", "notnull", "null", "or", "then", "true", "when"),
    }
)
_TYPES = frozenset({"integer", "numeric", "real", "text"})

_EXAMPLE = "write it like: error_kind == 'moderation' and quality == 'high'"
_SCHEMA = "imagemill schema results tells the columns"
_PATTERNS = "patterns are written: prompt like '%owl%'"
_HINTS = {
    "'": "the text that begins here is not closed; a quote in it is doubled: 'it''s'",
    '"': "the name that begins here is not closed",
    "`": "the name that begins here is not closed",
    "[": "a list stands in round brackets: quality in ('low', 'high')",
    ".": "there are no methods; write contains(prompt, 'owl')",
    "&": "write and",
    "|": "write or",
    "!": "write not",
    "~": _PATTERNS,
    ";": "there can be one expression only",
    "-": "there can be no comment",
    "/": "there can be no comment",
    "none": "write: is null, is not null",
    "regexp": _PATTERNS,
    "match": _PATTERNS,
    "search": _PATTERNS,
    "select": "an expression looks at one line and cannot select others",
}
"""Sign or word that has no meaning here -> what to write."""


class Family(Enum):
    """What values of a column are compared with; the value says how that is written."""

    TEXT = "text in single quotes, or write cast({} as integer)"
    NUMBER = "a number"
    TRUTH = "true or false"
    TIME = "a time, like '2026-11-22T02:00:00'"
    LIST = "its items: contains({}, 'edited')"


@dataclass(frozen=True, slots=True)
class Expression:
    """sql: what SQLite is given. columns: stand-in in the SQL -> name of a column that is read."""

    text: str
    sql: str
    columns: Mapping[str, str]

    def refusal(self, message: str) -> JobError:
        """The error when SQLite refuses the expression. message: SQLite's."""
        text = re.sub(r"\bc\d+\b", lambda found: self.columns.get(found[0], found[0]), message)
        if message.startswith('near ")"'):
            text = "something is missing at the end or before a bracket"
        fix = f"the functions are: {', '.join(FUNCTIONS)}" if "function" in message else _EXAMPLE
        return expression_error(self.text, text.replace(HAS_ITEM, "contains"), fix=fix)


class _Token(NamedTuple):
    """kind: a group of `_TOKEN`, or `column`. sql: as SQLite gets it. at: offset in the text."""

    kind: str
    sql: str
    at: int
    column: str = ""


def expression_error(text: str, why: str, at: int | None = None, fix: str = _EXAMPLE) -> JobError:
    """The error of an expression. at: offset of what is wrong, where it is known."""
    location = "" if at is None else f" at character {at + 1}"
    return JobError(f"--where {text[:200]!r}{location}: {why}", fix=fix)


def read(text: str, families: Mapping[str, Family]) -> Expression:
    """The expression as SQLite will understand it. families: every column's.

    Raises JobError, with the position, for what names no column or would mean something else than it says.
    """
    return _Reader(text, families).read()


def columns_text(columns: Iterable[str]) -> str:
    """Column names for a message."""
    return f"the columns are: {', '.join(columns)}"


def _written(column: str) -> str:
    is_plain = re.fullmatch(r"[^\W\d]\w*", column) and column.lower() not in _WORDS
    return column if is_plain else '"{}"'.format(column.replace('"', '""'))


class _Reader:
    def __init__(self, text: str, families: Mapping[str, Family]) -> None:
        self._text, self._families = text, families
        self._tokens: list[_Token] = []

    def read(self) -> Expression:
        if not self._text.strip():
            self._refuse("is empty")
        if len(self._text) > MAX_CHARS:
            self._refuse(f"has more than {MAX_CHARS:,} characters")
        if re.search("[\0\ud800-\udfff]", self._text):
            self._refuse("holds a character that no column can hold")
        self._tokens = list(self._split())
        for i in range(len(self._tokens)):
            self._resolve(i)
        self._check_brackets()
        for i, token in enumerate(self._tokens):
            if token.sql in _COMPARISONS:
                self._check_comparison(i)
            self._check_place(i)
        columns = {token.sql: token.column for token in self._tokens if token.column}
        if not columns:
            self._refuse("names no column", fix=columns_text(self._families))
        return Expression(self._text, " ".join(token.sql for token in self._tokens), columns)

    def _refuse(self, why: str, at: int | None = None, fix: str = _EXAMPLE) -> NoReturn:
        raise expression_error(self._text, why, at, fix)

    def _split(self) -> Iterator[_Token]:
        at = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None or found.lastgroup is None:
                sign = self._text[at]
                self._refuse(_HINTS.get(sign, f"{sign!r} has no meaning here"), at)
            if found.lastgroup != "blank":
                yield _Token(found.lastgroup, found[0], at)
            at = found.end()

    def _token(self, i: int) -> _Token:
        return self._tokens[i] if 0 <= i < len(self._tokens) else _Token("end", "", len(self._text))

    def _resolve(self, i: int) -> None:
        """Words become words of SQL, functions or columns; quoted names become columns."""
        token, lower = self._tokens[i], self._tokens[i].sql.lower()
        if token.kind == "name":
            quote = token.sql[0]
            self._tokens[i] = self._column(token, token.sql[1:-1].replace(quote * 2, quote))
        elif token.kind == "word":
            is_type = lower in _TYPES and self._token(i - 1).sql == "as"
            is_called = self._token(i + 1).sql == "("
            is_name = not (lower in _WORDS or is_type or is_called)
            self._tokens[i] = self._column(token, token.sql) if is_name else token._replace(sql=lower)

    def _column(self, token: _Token, name: str) -> _Token:
        names = list(self._families)
        alike = [name] if name in names else [each for each in names if each.lower() == name.lower()]
        if len(alike) > 1:
            self._refuse(f"column {name!r} may be {' or '.join(map(_written, alike))}", token.at)
        if alike:
            return token._replace(kind="column", sql=f"c{names.index(alike[0])}", column=alike[0])
        hint = _HINTS.get(name.lower(), "")
        near = get_close_matches(name, names, 1)
        if near and not hint:
            hint = f"did you mean {_written(near[0])!r}?"
        in_quotes = token.sql.startswith('"') or not hint
        text = f"text stands in single quotes: {_quoted(name)}" if in_quotes else ""
        why = "; ".join(filter(None, (f"no column {name!r}", hint, text)))
        raise expression_error(self._text, why, token.at, columns_text(names))

    def _check_brackets(self) -> None:
        """Each bracket has its other one; and no `a < b < c`, which SQL takes for `(a < b) < c`."""
        opened, compared = list[int](), [False]
        for token in self._tokens:
            if token.sql == "(":
                opened.append(token.at)
                compared.append(False)
            elif token.sql == ")":
                if not opened:
                    self._refuse("this bracket was not opened", token.at)
                opened.pop()
                compared.pop()
            elif token.sql in _COMPARISONS:
                if compared[-1]:
                    self._refuse(
                        "compares what is compared already; write: 1 < width and width < 9", token.at
                    )
                compared[-1] = True
            elif token.sql in _JOINS:
                compared[-1] = False
        if opened:
            self._refuse("this bracket is not closed", opened[-1])

    def _check_comparison(self, i: int) -> None:
        """A value that the column beside it cannot hold is refused, and a time written as the column has it."""
        if "null" in (self._token(i - 1).sql, self._token(i + 1).sql):
            self._refuse("nothing equals null; write: is null, is not null", self._tokens[i].at)
        for column, other in ((self._token(i - 1), i + 1), (self._token(i + 1), i - 1)):
            value = self._token(other + (self._token(other).sql == "-"))
            is_truth = value.sql in ("true", "false", "0", "1")
            if not column.column or not (is_truth or value.kind in ("text", "number")):
                continue
            family = self._families[column.column]
            if family is Family.TIME and value.kind == "text":
                self._tokens[other] = value._replace(sql=self._moment(value))
            elif not {
                Family.TEXT: value.kind == "text",
                Family.NUMBER: value.kind == "number",
                Family.TRUTH: is_truth,
            }.get(family, False):
                wanted = family.value.format(_written(column.column))
                why = f"column {column.column!r} cannot equal {value.sql}; compare it with {wanted}"
                self._refuse(why, value.at, _SCHEMA)

    def _moment(self, value: _Token) -> str:
        try:
            moment = datetime.fromisoformat(value.sql[1:-1])
            if moment.tzinfo is not None:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            self._refuse(f"{value.sql} is no time; write {Family.TIME.value}", value.at, _SCHEMA)
        return _quoted(moment.isoformat(timespec="microseconds"))

    def _check_place(self, i: int) -> None:
        """What SQL would take for false (text alone), for a table (`in flags`) or the other way round (`like(a, b)`)."""
        token, after = self._tokens[i], self._token(i + 1)
        family = self._families.get(token.column, Family.TEXT)
        if token.sql == "in" and after.sql != "(":
            is_list = self._families.get(after.column) is Family.LIST
            example = (
                f"contains({_written(after.column)}, 'edited')" if is_list else "quality in ('low', 'high')"
            )
            self._refuse(f"write: {example}", token.at)
        if token.sql == "like" and after.sql == "(" and self._token(i + 3).sql == ",":
            self._refuse(_PATTERNS, token.at)
        if token.sql == "contains" and self._families.get(self._token(i + 2).column) is Family.LIST:
            self._tokens[i] = token._replace(sql=HAS_ITEM)
        if token.kind == "word" and token.sql in _HINTS:
            self._refuse(_HINTS[token.sql], token.at)
        is_value = token.kind in ("text", "column") and family not in (Family.TRUTH, Family.NUMBER)
        if is_value and after.sql in _ENDS and self._begins_truth(i):
            self._refuse("stands alone; compare it: quality == 'low' or quality == 'high'", token.at)

    def _begins_truth(self, i: int) -> bool:
        """Whether a truth value begins at this token; not after `is not` and `between 'a' and`."""
        before, words = self._token(i - 1).sql, [token.sql for token in self._tokens[: max(i - 1, 0)]]
        if before == "not":
            return words[-1:] != ["is"]
        last = next((word for word in reversed(words) if word in ("between", "and", "or")), "")
        return before in _ENDS and not (before == "and" and last == "between")


def _quoted(text: str) -> str:
    return "'{}'".format(text.replace("'", "''"))
