"""Rows as a retry sends them: with its overrides, and with what its endpoint takes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jobs.overrides import Changes, Texts, remade
from jobs.rows import RequestDefaults, shown
from jobs.templates import TemplateError
from runner.planning.row_stream import RowBatch
from schemas.row import Row, RowProblem


class TextStore:
    """What templates became, row by row, in a file: so that what was checked is what is sent, whatever the memory."""

    def __init__(self, path: Path) -> None:
        """path: a file below OUT's temporary folder, which whoever opens OUT next clears."""
        self._path = path
        path.unlink(missing_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute("CREATE TABLE texts (position INTEGER PRIMARY KEY, texts TEXT NOT NULL)")
        self._connection.execute("BEGIN")

    def put(self, position: int, texts: Texts) -> None:
        """Keep the texts of the row at this manifest position."""
        kept = json.dumps([dict(texts.fields), dict(texts.params)])
        self._connection.execute("INSERT INTO texts VALUES (?,?)", (position, kept))

    def get(self, position: int) -> Texts:
        """What was kept of it."""
        found = self._connection.execute("SELECT texts FROM texts WHERE position=?", (position,)).fetchone()
        return Texts(*json.loads(found[0]))

    def close(self) -> None:
        """Remove the file."""
        self._connection.close()
        with suppress(OSError):
            self._path.unlink()


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
