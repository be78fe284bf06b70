"""Rows as a retry sends them: with its overrides, and with the fields that its endpoint takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from jobs.overrides import FilledTexts, Overrides, TemplateError, override_row
from jobs.quoting import quoted
from jobs.rows import RequestDefaults
from runner.ledger.override_texts import TextStore
from runner.planning.row_stream import RowBatch
from schemas.row import Row, RowProblem


class RowOverrides(NamedTuple):
    """Applies a retry's overrides to rows.

    overrides: of prompt and fields. before, after: request defaults of the folder's own job and of the retry.
    columns: role -> manifest column. store: keeps filled templates; None when no template names a column.
    """

    overrides: Overrides
    before: RequestDefaults
    after: RequestDefaults
    columns: Mapping[str, str]
    store: TextStore | None = None

    def override(self, batch: RowBatch, index: int, row: Row, values: Mapping[str, Any]) -> Row | RowProblem:
        """The row as it will be sent, its templates filled with these column values, which are kept in the store."""
        try:
            texts = self.overrides.filled({name: as_text(value) for name, value in values.items()})
        except TemplateError as error:
            return RowProblem(
                row.position, row.row_id, row.request.prompt, f"{_where(batch, index, row)}: {error}"
            )
        if self.store is not None:
            self.store.put(row.position, texts)
        return self._made(batch, index, row, texts)

    def override_again(self, batch: RowBatch, index: int, row: Row) -> Row | RowProblem:
        """As `override`, with the texts that it kept in the store."""
        if self.store is None:
            return self._made(batch, index, row, self.overrides.filled({}))
        return self._made(batch, index, row, self.store.get(row.position))

    def _made(self, batch: RowBatch, index: int, row: Row, texts: FilledTexts) -> Row | RowProblem:
        if not self.overrides and self.before == self.after:
            return row
        own = batch.own_fields(index)
        return override_row(row, own, _where(batch, index, row), texts, self.after, self.columns)


def _where(batch: RowBatch, index: int, row: Row) -> str:
    return f"row {quoted(row.row_id)} ({batch.batch.locations[batch.offsets[index]]})"


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
