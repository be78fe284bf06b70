"""What `retry` sends instead of what a row says: templates become texts, and texts a request that passes every check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from jobs.rows import RequestDefaults, prompt_problem, resolve_params
from jobs.templates import Template
from schemas.request import FIELDS, ImageRequest
from schemas.row import Row, RowProblem

PROMPT = "prompt"
_HALF = re.compile("[\ud800-\udfff]")
FIXED = ("n",)
"""Fields that a retry leaves as they are: how many images a row has is the manifest's to say."""

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
