"""The templates of `retry --set field=…`: text in which `{column}` stands for the row's value, and `{{` for a brace.

A name is looked up as it stands, so there is no way from it to an attribute, an element or a format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_BEYOND = re.compile(r"[.\[\]!:]")


class TemplateError(ValueError):
    """The template cannot be read or filled; the message says why."""


class Template(NamedTuple):
    """Literal text and column names in turn: texts[0], columns[0], texts[1], …, texts[-1]."""

    texts: tuple[str, ...]
    columns: tuple[str, ...] = ()

    def filled(self, values: Mapping[str, str | None]) -> str:
        """The text for one row. values: column -> text, None for a null. Raises TemplateError for a null."""
        parts = [self.texts[0]]
        for name, text in zip(self.columns, self.texts[1:], strict=True):
            value = values[name]
            if value is None:
                raise TemplateError(f"column {name!r} is null in this row")
            parts += [value, text]
        return "".join(parts)


def literal(text: str) -> Template:
    """The text itself, braces and all."""
    return Template((text,))


def parse(text: str) -> Template:
    """The template of a text. Raises TemplateError for a brace that stands alone or an empty name."""
    texts, columns = [""], list[str]()
    last = 0
    for found in _PIECE.finditer(text):
        texts[-1] += text[last : found.start()]
        last = found.end()
        if found[0] in ("{{", "}}"):
            texts[-1] += found[0][0]
        elif found[1]:
            columns.append(found[1])
            texts.append("")
        else:
            raise TemplateError(
                f"{found[0]!r} at character {found.start() + 1} is no {{column}}; a brace itself is {{{{ or }}}}"
            )
    texts[-1] += text[last:]
    return Template(tuple(texts), tuple(columns))


def unknown(name: str) -> str:
    """What is said of a name that is no column."""
    if _BEYOND.search(name):
        return (
            f"{{{name}}} is no column; a template takes {{column}} only: no attributes, elements or formats"
        )
    return f"{{{name}}} is no column"
