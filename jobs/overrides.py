"""Overrides of `retry`: templates are filled with a row's values, and the filled row passes the same checks as any other.

In a template `{column}` is replaced by the row's value, and `{{` by a brace. A name is looked up literally, so a template
cannot reach an attribute, an element or a format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any, NamedTuple

from jobs.rows import RequestDefaults, prompt_problem, resolve_params
from schemas.request import FIELDS, ImageRequest
from schemas.row import Row, RowProblem

PROMPT = "prompt"
_BEYOND = re.compile(r"[.\[\]!:]")
_HALF = re.compile("[\ud800-\udfff]")
FIXED = ("n",)
"""Fields that a retry leaves as they are: how many images a row has is the manifest's to say."""


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


def template(text: str) -> Template:
    """Parse a template. Raises TemplateError for a brace without its partner or an empty name."""
    texts, columns = [""], list[str]()
    try:
        for literal, name, spec, conversion in Formatter().parse(text):
            texts[-1] += literal
            if name is not None:
                beyond = (conversion and f"!{conversion}", spec and f":{spec}")
                columns.append("".join((name, *filter(None, beyond))))
                texts.append("")
        if "" in columns:
            raise ValueError("{} has no name")
    except ValueError as error:
        raise TemplateError(f"{error}; write {{column}}, and {{{{ or }}}} for a brace itself") from None
    return Template(tuple(texts), tuple(columns))


def unknown_column(name: str) -> str:
    """The message for a name in a template that is no column."""
    beyond = (
        "; a template takes {column} only: no attributes, elements or formats" if _BEYOND.search(name) else ""
    )
    return f"{{{name}}} is no column{beyond}"


OwnFields = tuple[tuple[str, str], ...]
"""What a row itself sets, field and text, in `FIELDS` order."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """fields: `prompt` or a request field -> what it becomes. params: other body fields -> text, filled for each row."""

    fields: tuple[tuple[str, Template], ...] = ()
    params: tuple[tuple[str, Template], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.params)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are named, each once."""
        every = (name for _, template in (*self.fields, *self.params) for name in template.columns)
        return tuple(dict.fromkeys(every))

    def filled(self, values: Mapping[str, str | None]) -> FilledTexts:
        """The texts for one row; see `Template.filled`."""
        return FilledTexts(
            {name: template.filled(values) for name, template in self.fields},
            {name: template.filled(values) for name, template in self.params},
        )


class FilledTexts(NamedTuple):
    """What is changed in one row: fields (`prompt` among them) and other body fields."""

    fields: Mapping[str, str]
    params: Mapping[str, Any]


def override_row(
    row: Row,
    own: OwnFields,
    location: str,
    texts: FilledTexts,
    defaults: RequestDefaults,
    columns: Mapping[str, str],
) -> Row | RowProblem:
    """The row as it will be sent, or why it cannot be. An empty text means the default, as in a manifest.

    location: what messages call the row. defaults: sent where neither row nor texts set a field. columns: role -> manifest
    column.
    """
    prompt = texts.fields.get(PROMPT, row.request.prompt)
    problem = prompt_problem(prompt, location, columns)
    if any(_HALF.search(text) for text in (*texts.fields.values(), *map(str, texts.params.values()))):
        problem = f"{location}: what is set holds half a character, which cannot be sent as UTF-8"
    if problem is not None:
        return RowProblem(row.position, row.row_id, prompt, problem, own)
    changed = dict(own) | dict(texts.fields)
    fields = tuple((name, changed[name]) for name in FIELDS if changed.get(name))
    if texts.params:
        defaults = replace(defaults, extra=tuple(sorted((dict(defaults.extra) | dict(texts.params)).items())))
    params = resolve_params(fields, defaults, columns)
    if params.problem is not None:
        return RowProblem(row.position, row.row_id, prompt, f"{location}: {params.problem}", own)
    request = ImageRequest(prompt, params.params)
    other = None if prompt == row.request.prompt else row.request.prompt
    return row._replace(request=request, warnings=params.warnings, manifest_prompt=other)
