"""One output folder's share of a report: its rows as script files, its figures, the tries of rows that had several."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from runner.ledger.history import AttemptHistory
from runner.process.redaction import REDACTOR
from runner.reports.figures import FolderFigures
from runner.reports.script_data import (
    CHUNK_ROWS,
    FIRST_ROWS,
    ValueCounts,
    cell,
    cells,
    column_kind,
    packed,
    script,
)
from runner.results.selection import ResultsSelection
from runner.results.snapshot import FolderResults
from schemas.results import RESULT_NAMES

_MOST_RETRIED = 100_000
_TRIES_IN_BLOCK = 300
TRIES = "tries block"
"""A column of ours, the last one: the number of the script that holds a row's tries; null: it had one at most."""


class ScriptFile(NamedTuple):
    """A script of a report: its name, its text."""

    name: str
    text: str


@dataclass
class Chunk:
    """Rows of one script. digests: of the images, "" for none; files: their names."""

    name: str
    rows: int
    digests: list[str]
    files: list[str]


@dataclass
class FolderData:
    """What a report holds of one folder. number: its place among those of the report."""

    number: int
    results: FolderResults
    selection: ResultsSelection
    out: str
    chunks: list[Chunk] = field(default_factory=list)
    _columns: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.figures = FolderFigures(self.out)
        self._schema = self.selection.schema(self.results.schema)
        self._counts = ValueCounts(self._schema.names)
        self._blocks: dict[str, int] = {}

    def scripts(self) -> Iterator[ScriptFile]:
        """The scripts of its rows and of their tries; chunks and figures are filled meanwhile."""
        yield from self._tries()
        waiting: list[pa.Table] = []
        most, count = FIRST_ROWS, 0
        for table in self.selection.select(self.results.schema, self.results.tables):
            self.figures.add(table)
            while table.num_rows:
                piece = table.slice(0, most - count)
                table = table.slice(piece.num_rows)
                waiting.append(piece)
                count += piece.num_rows
                if count == most:
                    yield self._chunk(pa.concat_tables(waiting))
                    waiting, count, most = [], 0, CHUNK_ROWS
        if count:
            yield self._chunk(pa.concat_tables(waiting))

    def _chunk(self, table: pa.Table) -> ScriptFile:
        columns = []
        for name in table.column_names:
            values = cells(table.column(name))
            self._counts.add(name, values)
            columns.append(packed(values))
        columns.append(packed([self._blocks.get(each) for each in table.column("row_id").to_pylist()]))
        number = len(self.chunks)
        made = Chunk(
            f"rows-{self.number}-{number}.js",
            table.num_rows,
            [each or "" for each in table.column("sha256").to_pylist()],
            [each or "" for each in table.column("file_name").to_pylist()],
        )
        self.chunks.append(made)
        return ScriptFile(made.name, script("rows", self.number, number, table.num_rows, columns))

    def _tries(self) -> Iterator[ScriptFile]:
        """Scripts with every request for the rows that needed more than one."""
        items, _ = self.results.ledger.rows_sent_often(_MOST_RETRIED)
        left = iter(items)
        block = 0
        while batch := list(islice(left, _TRIES_IN_BLOCK)):
            told: dict[str, list[dict[str, Any]]] = {}
            for item in batch:
                attempts = self.results.ledger.attempt_history(item.item)
                told.setdefault(item.row_id, []).extend(map(_attempt, attempts))
                self._blocks[item.row_id] = block
            yield ScriptFile(
                f"tries-{self.number}-{block}.js", script("tries", self.number, block, list(told.items()))
            )
            block += 1

    def head(self, dest: Path) -> dict[str, Any]:
        """What the page knows of the folder before its rows. dest: the folder of the report, for relative links."""
        summary = self.results.summary().to_dict()
        runs = self.results.ledger.runs()
        columns = [
            {
                "name": each.name,
                "kind": column_kind(each.type),
                "own": each.name not in RESULT_NAMES,
                "few": self._counts.few(each.name),
            }
            for each in self._schema
        ]
        return {
            "out": REDACTOR.text(self.out),
            "name": REDACTOR.text(self.results.out.resolve().name),
            "base": base_url(self.results.out, dest),
            "id": runs[0].run_id if runs else self.out,
            "live": self.results.live,
            "columns": [*columns, {"name": TRIES, "kind": "number", "own": False, "few": False}],
            "rows": sum(chunk.rows for chunk in self.chunks),
            "chunks": [{"name": chunk.name, "rows": chunk.rows} for chunk in self.chunks],
            "where": self.selection.where,
            "sample": self.selection.sample,
            "summary": {name: _hidden(summary[name]) for name in _SUMMARY},
            "figures": self.figures.to_dict(),
            "runs": [
                {
                    "run_id": run.run_id,
                    "started": run.started_ms,
                    "finished": run.finished_ms,
                    "reason": _hidden(run.reason),
                    "images": run.images,
                    "cost_usd": run.cost_usd,
                }
                for run in runs[-20:]
            ],
        }


_SUMMARY = (
    *("simulated", "state", "exit_code", "exit_reason", "next", "rows", "images", "by_status", "removed"),
    *("started", "finished", "duration_s", "eta_s", "folder", "service", "warnings"),
)


def base_url(out: Path, dest: Path) -> str:
    """From the report to the folder: relative, so that both can be moved together."""
    relative = os.path.relpath(out.resolve(), dest.resolve())
    return quote(relative, safe="/", errors="surrogateescape") + "/"


def _attempt(attempt: AttemptHistory) -> dict[str, Any]:
    """A request as the page shows it; Unix milliseconds, seconds, USD."""
    with suppress(KeyError):
        del attempt.params["prompt"]
    return {
        "run_id": attempt.run_id,
        "sent": attempt.sent_ms,
        "status": attempt.status,
        "kind": attempt.kind,
        "code": cell(attempt.code),
        "message": cell(attempt.message),
        "http_status": attempt.http_status,
        "maybe_billed": attempt.maybe_billed,
        "cost_usd": attempt.cost_usd,
        "latency_s": attempt.latency_s,
        "request_id": cell(attempt.request_id),
        "prompt": cell(attempt.prompt),
        "params": [[name, cell(value)] for name, value in attempt.params.items()],
        "images": [image.idx for image in attempt.images],
    }


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return REDACTOR.hide(value)
    if isinstance(value, dict):
        return {name: _hidden(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(each) for each in value]
    return value
