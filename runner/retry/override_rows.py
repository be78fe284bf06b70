"""Rows as a retry sends them: with its overrides, and with what its endpoint takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from jobs.overrides import Changes, TemplateError, Texts, remade
from jobs.rows import RequestDefaults, shown
from runner.ledger.override_texts import TextStore
from runner.planning.row_stream import RowBatch
from schemas.row import Row, RowProblem


class Remaker(NamedTuple):
    """changes: what is overridden. before, after: what the folder's own job and the retry send where a row says nothing.

    columns: role -> manifest column. store: where filled templates are kept; None: nowhere.
    """

    changes: Changes
    before: RequestDefaults
    after: RequestDefaults
    columns: Mapping[str, str]
    store: TextStore | None = None

    def first(self, batch: RowBatch, place: int, row: Row, values: Mapping[str, Any]) -> Row | RowProblem:
        """The row as it will be sent, its templates filled with these values of its columns."""
        try:
            texts = self.changes.filled({name: as_text(value) for name, value in values.items()})
        except TemplateError as error:
            return RowProblem(
                row.position, row.row_id, row.request.prompt, f"{_where(batch, place, row)}: {error}"
            )
        if self.store is not None:
            self.store.put(row.position, texts)
        return self._made(batch, place, row, texts)

    def again(self, batch: RowBatch, place: int, row: Row) -> Row | RowProblem:
        """The same once more."""
        if self.store is None:
            return self._made(batch, place, row, self.changes.filled({}))
        return self._made(batch, place, row, self.store.get(row.position))

    def _made(self, batch: RowBatch, place: int, row: Row, texts: Texts) -> Row | RowProblem:
        if not self.changes and self.before == self.after:
            return row
        own = batch.own_fields(place)
        return remade(row, own, _where(batch, place, row), texts, self.after, self.columns)


def _where(batch: RowBatch, place: int, row: Row) -> str:
    return f"row {shown(row.row_id)} ({batch.batch.places[batch.offsets[place]]})"


def as_text(value: Any) -> str | None:
    """A column's value as a template shows it; None stays None."""
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case datetime():
            return value.isoformat()
        case bytes():
            return value.hex()
    return json.dumps(value, ensure_ascii=False, default=str)
