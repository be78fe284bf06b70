"""What `retry` sends instead of what a row says: templates become texts, and texts a request that passes every check.

In a template `{column}` stands for the row's value, and `{{` for a brace. A name is looked up as it stands, so there is
no way from it to an attribute, an element or a format.
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
    """The template that a text says. Raises TemplateError for a brace that stands alone or an empty name."""
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


def unknown(name: str) -> str:
    """What is said of a name that is no column."""
    beyond = (
        "; a template takes {column} only: no attributes, elements or formats" if _BEYOND.search(name) else ""
    )
    return f"{{{name}}} is no column{beyond}"


OwnFields = tuple[tuple[str, str], ...]
"""What a row itself sets, field and text, in `FIELDS` order."""


@dataclass(frozen=True, slots=True)
class Changes:
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

    def filled(self, values: Mapping[str, str | None]) -> Texts:
        """The texts for one row; see `Template.filled`."""
        return Texts(
            {name: template.filled(values) for name, template in self.fields},
            {name: template.filled(values) for name, template in self.params},
        )


class Texts(NamedTuple):
    """What is changed in one row: fields (`prompt` among them) and other body fields."""

    fields: Mapping[str, str]
    params: Mapping[str, Any]


def remade(
    row: Row, own: OwnFields, place: str, texts: Texts, defaults: RequestDefaults, columns: Mapping[str, str]
) -> Row | RowProblem:
    """The row as it will be sent, or why it cannot be. An empty text means the default, as in a manifest.

    place: what to call the row. defaults: what is sent where row and texts say nothing. columns: role -> manifest column.
    """
    prompt = texts.fields.get(PROMPT, row.request.prompt)
    problem = prompt_problem(prompt, place, columns)
    if any(_HALF.search(text) for text in (*texts.fields.values(), *map(str, texts.params.values()))):
        problem = f"{place}: what is set holds half a character, which cannot be sent as UTF-8"
    if problem is not None:
        return RowProblem(row.position, row.row_id, prompt, problem, own)
    changed = dict(own) | dict(texts.fields)
    fields = tuple((name, changed[name]) for name in FIELDS if changed.get(name))
    if texts.params:
        defaults = replace(defaults, extra=tuple(sorted((dict(defaults.extra) | dict(texts.params)).items())))
    params = resolve_params(fields, defaults, columns)
    if params.problem is not None:
        return RowProblem(row.position, row.row_id, prompt, f"{place}: {params.problem}", own)
    request = ImageRequest(prompt, params.params)
    other = None if prompt == row.request.prompt else row.request.prompt
    return row._replace(request=request, warnings=params.warnings, manifest_prompt=other)
