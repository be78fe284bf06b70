"""`results.parquet`: a pure function of manifest and ledger, written whole and replaced in one step."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.state import ImageState, RowState, fold
from runner.intake import Intake, RowBatch
from runner.store import records
from runner.store.attempts import ABSENT, AttemptReader
from runner.store.durable import Folder, replace_file
from runner.store.ledger import Statement
from runner.store.views import ItemIndex
from schemas.failures import FailureKind, RowStatus
from schemas.request import FIELDS
from schemas.results import RESULT_NAMES, RESULTS_SCHEMA, passthrough_name
from schemas.row import Row, RowProblem

RESULTS_NAME = "results.parquet"
_ROWS_A_GROUP = 8_192
_INTEGER_FIELDS = {name for name, rule in FIELDS.items() if rule.kind is int}

Values = dict[str, Any]


@dataclass
class Counts:
    """What the table holds. by_status, by_error: results rows. rows: manifest rows; images: results rows in all."""

    rows: int = 0
    images: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_error: Counter[str] = field(default_factory=Counter)

    def add(self, values: Sequence[Values]) -> None:
        """Count one manifest row's results rows."""
        self.rows += 1
        self.images += len(values)
        for value in values:
            self.by_status[value["status"]] += 1
            if value.get("error_kind"):
                self.by_error[value["error_kind"]] += 1


@dataclass
class ResultsTable:
    """The table for one folder. live_run: the run that is going on now, None when there is none."""

    intake: Intake
    connection: sqlite3.Connection
    live_run: int | None = None

    def write(self, folder: Folder, record: Callable[[Sequence[Statement]], None]) -> Counts:
        """Write and replace `results.parquet`; what it holds. Raises OSError when the disk refuses.

        record: makes a record for the ledger durable; told of the table's digest before it is published.
        """
        counts = Counts()

        def announce(digest: str) -> None:
            if digest != newest_digest(self.connection):
                record(records.table(digest, int(time.time() * 1000)))

        replace_file(folder, RESULTS_NAME, lambda file: self.stream(file, counts), before=announce)
        return counts

    def stream(self, file: IO[bytes], counts: Counts) -> None:
        """Write the table into a binary stream, counting what it holds."""
        extra = self.intake.manifest.extra_schema()
        schema = _full_schema(extra)
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for table in _grouped(self._tables(counts, extra, schema)):
                writer.write_table(table)

    def count(self) -> Counts:
        """What the table would hold, without writing it."""
        counts = Counts()
        for _batch, values in self._folded():
            for row in values:
                counts.add(row)
        return counts

    def _tables(self, counts: Counts, extra: pa.Schema, schema: pa.Schema) -> Iterator[pa.Table]:
        for batch, values in self._folded():
            repeats: list[int] = []
            flat: list[Values] = []
            for offset, row in enumerate(values):
                counts.add(row)
                repeats += [offset] * len(row)
                flat += row
            columns = [
                pa.array([value.get(column.name) for value in flat], column.type) for column in RESULTS_SCHEMA
            ]
            if len(extra):
                others = batch.extras().take(pa.array(repeats, pa.int64()))
                columns += [others.column(name).cast(extra.field(name).type) for name in extra.names]
            yield pa.Table.from_arrays(columns, schema=schema)

    def _folded(self) -> Iterator[tuple[RowBatch, list[list[Values]]]]:
        index = ItemIndex(self.connection)
        reader = AttemptReader(self.connection, self.live_run)
        facts = _Facts(
            self.live_run is not None, _stop_message(self.connection), _duplicates(self.connection)
        )
        for batch in self.intake.batches():
            items = index.items(batch.rows)
            attempts = reader.of(items)
            values = []
            for row, item in zip(batch.rows, items, strict=True):
                if isinstance(row, RowProblem):
                    values.append([_invalid(row)])
                    continue
                state = fold(attempts.get(item, ()) if item != ABSENT else (), row.request.n)
                values.append(_row_values(row, state, facts))
            yield batch, values


@dataclass(frozen=True, slots=True)
class _Facts:
    """About the whole folder. live: a run is going on. stopped: why the last run ended before its work was done."""

    live: bool
    stopped: str
    duplicates: frozenset[str]


def _stop_message(connection: sqlite3.Connection) -> str:
    row = connection.execute(
        "SELECT reason FROM run_ends WHERE run = (SELECT max(run) FROM runs) AND exit_code NOT IN (0, 3)"
    ).fetchone()
    return (
        f"the run ended before this row's turn ({row[0]})" if row else "the run ended before this row's turn"
    )


def _duplicates(connection: sqlite3.Connection) -> frozenset[str]:
    found = connection.execute("SELECT sha256 FROM images GROUP BY sha256 HAVING count(*) > 1")
    return frozenset(digest.hex() for (digest,) in found)


def _invalid(row: RowProblem) -> Values:
    values: Values = {
        "row_id": records.storable(row.row_id),
        "row": row.position,
        "image_index": 0,
        "status": RowStatus.INVALID.value,
        "prompt": records.storable(row.prompt),
        "error_kind": FailureKind.INVALID_ROW.value,
        "error_message": records.storable(row.message),
        "attempts": 0,
        "maybe_billed": 0,
        "flags": [],
    }
    for name, text in row.fields:
        values[name] = _small_integer(text) if name in _INTEGER_FIELDS else records.storable(text)
    return values


def _small_integer(text: str) -> int | None:
    try:
        value = int(text)
    except ValueError:
        return None
    return value if -32768 <= value <= 32767 else None


def _row_values(row: Row, state: RowState, facts: _Facts) -> list[Values]:
    shared: Values = {
        "row_id": row.row_id,
        "row": row.position,
        "prompt": row.request.prompt,
        "attempts": state.attempts,
        "maybe_billed": state.maybe_billed,
        "cost_usd": None if state.cost_usd is None else state.cost_usd / row.request.n,
    }
    return [shared | _image_values(row, index, image, facts) for index, image in enumerate(state.images)]


def _image_values(row: Row, index: int, state: ImageState, facts: _Facts) -> Values:
    values: Values = {"image_index": index, "status": state.status.value, "flags": []}
    attempt = state.attempt
    params = attempt.params if attempt is not None else dict(row.request.params)
    values |= {name: params.get(name) for name in FIELDS}
    if state.status is not RowStatus.SUCCEEDED:
        _explain(values, state, facts)
    if attempt is None:
        return values
    values |= {
        "revised_prompt": state.revised_prompt,
        "http_status": attempt.http_status,
        "endpoint": attempt.endpoint,
        "input_tokens": attempt.reported.input_tokens,
        "output_tokens": attempt.reported.output_tokens,
        "request_id": attempt.reported.request_id,
        "task_id": attempt.reported.task_id,
        "created": None if attempt.reported.created is None else attempt.reported.created * 1000,
        "started_at": attempt.sent_ms,
        "finished_at": attempt.finished_ms,
        "latency_s": attempt.latency_s,
    }
    flags = [*attempt.flags, *(("estimated_cost",) if attempt.cost_estimated else ())]
    image = state.image
    if image is not None:
        flags += [*image.flags, *(("duplicate_image",) if image.sha256 in facts.duplicates else ())]
        values |= {
            name: getattr(image, name)
            for name in ("file_name", "format", "width", "height", "bytes", "sha256")
        }
    values["flags"] = flags
    return values


def _explain(values: Values, state: ImageState, facts: _Facts) -> None:
    """Why there is no image: the attempt's failure, or that the row's turn has not come."""
    if state.kind is not None:
        values["error_kind"] = state.kind.value
    if state.message is not None:
        values["error_message"] = state.message
    if state.attempt is not None:
        values["error_code"] = state.attempt.code
    elif facts.live:
        values["error_kind"] = None
    else:
        values["error_message"] = facts.stopped


def _full_schema(extra: pa.Schema) -> pa.Schema:
    taken = set(RESULT_NAMES)
    fields = list(RESULTS_SCHEMA)
    for column in extra:
        name = passthrough_name(column.name, taken)
        taken.add(name)
        fields.append(pa.field(name, column.type))
    return pa.schema(fields)


def _grouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables joined into row groups of a useful size; at least one, so that an empty manifest has a table."""
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        held.append(table)
        rows += table.num_rows
        if rows >= _ROWS_A_GROUP:
            yield pa.concat_tables(held)
            held, rows = [], 0
    if held:
        yield pa.concat_tables(held)


def newest_digest(connection: sqlite3.Connection) -> str | None:
    """sha256 (hex) of the newest table that was about to be published; None before the first."""
    row = connection.execute("SELECT sha256 FROM tables ORDER BY number DESC LIMIT 1").fetchone()
    return row[0].hex() if row else None
