"""Where in a TOML text each key stands, and what is wrong with a line that is no TOML."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from runner.config.json_schema import job_keys
from schemas.job import secrecy
from schemas.secrecy import Secrecy
from schemas.secret_names import names_secret

_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)|\(at end of document\)")
_ASSIGNMENT = re.compile(r"""\s*([\w.-]+)\s*=\s*(.*?)\s*$""")
_WORDS = re.compile(r"[^\"'\[{#\s][^\"'#]*")
_MOST_SHOWN = 100
_QUOTE_IT = 'texts stand in quotes: key = "value"'


def lines_of(text: str) -> dict[str, int]:
    """Dotted key -> the line (from 1) on which it, or its table, begins. Tables in a list have their number: `a.0.b`.

    text: valid TOML. tomllib keeps no places, so it is given statement after statement.
    """
    found: dict[str, int] = {}
    tables: Counter[str] = Counter()
    table = ""
    for number, statement in _statements(text):
        document = tomllib.loads(statement)
        header = statement.lstrip().startswith("[")
        path = _first_path(document)
        if header:
            table = path
            if statement.lstrip().startswith("[["):
                table = f"{path}.{tables[path]}"
                tables[path] += 1
                found.setdefault(path, number)
        elif document:
            path = f"{table}.{path}" if table else path
        if document:
            names = (table if header else path).split(".")
            for end in range(1, len(names) + 1):
                found.setdefault(".".join(names[:end]), number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each header and assignment; it is as long as it must be to be TOML."""
    held, start = "", 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        start = start if held else number
        held += line
        try:
            tomllib.loads(held)
        except tomllib.TOMLDecodeError:
            continue
        yield start, held
        held = ""


def _first_path(document: Mapping[str, Any]) -> str:
    """The key that a statement is about; below a key, what an inline table holds is its value."""
    names = []
    node: Any = document
    while isinstance(node, dict) and len(node) == 1:
        ((name, node),) = node.items()
        names.append(name)
    return ".".join(names)


def line_of(key: str, lines: Mapping[str, int]) -> int | None:
    """The line of a key, else of the nearest table that it is in."""
    names = key.split(".")
    return next(
        (lines[place] for end in range(len(names), 0, -1) if (place := ".".join(names[:end])) in lines), None
    )


def syntax_error(text: str, error: tomllib.TOMLDecodeError) -> tuple[int, str, str]:
    """The line on which a text stops being TOML, what is wrong there, with the line itself, and how to mend it."""
    place = _PLACE.search(str(error))
    lines = text.splitlines() or [""]
    number = int(place[1]) if place is not None and place[1] else len(lines)
    line = lines[min(number, len(lines)) - 1]
    reason = _PLACE.sub("", str(error)).strip().rstrip(":")
    fix = "see https://toml.io"
    match = _ASSIGNMENT.match(line)
    if match is not None:
        name, value = match[1], match[2]
        bare = _WORDS.fullmatch(value) is not None and not value.isdecimal()
        if _is_private(name):
            return (
                number,
                f"{reason}: {name} = (value not shown)",
                _QUOTE_IT if bare or reason == "Invalid value" else fix,
            )
        if bare:
            fix = f'texts stand in quotes: {name} = "{value}"'
    shown = line.strip()
    if match is None and ("=" in shown or not re.fullmatch(r"\[{1,2}[\w. -]*\]{0,2}", shown)):
        return number, reason, fix
    return number, f"{reason}: {shown[:_MOST_SHOWN]}", fix


def _is_private(name: str) -> bool:
    """Whether the value of such a key may be a secret, wherever it stands."""
    leaf = name.rpartition(".")[2]
    same = [key for key in job_keys() if key.rpartition(".")[2] == leaf]
    return names_secret(leaf) or not same or any(secrecy(key) is not Secrecy.OPEN for key in same)
