"""The rows of a folder whose manifest cannot be read any more, as its last results table and its ledger tell them.

The table has every row that the manifest had, in order, with its other columns. Of the rows that were sent the ledger
has what they are known by. Rows sent after the table was written come behind those in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.fingerprints import fingerprint
from jobs.manifest_diff import KnownIds
from jobs.rows import RequestDefaults
from runner.artifacts.atomic_files import sha256_of
from runner.ledger.item_index import ItemIndex
from runner.ledger.queries import RowVersion
from runner.ledger.reader import LedgerReader
from runner.manifest.records import Batch, Locations, Manifest, RecordTexts
from runner.planning.manifest_diff import asked_of, known_ids
from runner.planning.row_stream import RowBatch, RowStream
from schemas.failures import RowStatus
from schemas.job import Job
from schemas.output_folder import RESULTS_NAME
from schemas.request import FIELDS, ImageRequest
from schemas.results import RESULT_NAMES
from schemas.row import Row, RowProblem

_ROWS = 2_048
_TOLD = ("row_id", "row", "image_index", "status", "prompt", "error_message", *FIELDS)
"""What is read of the table, besides the columns that were carried along."""


class RecordedRows(RowStream):
    """As an `RowStream`, without a manifest. Rows that were never sent have what the table says of them."""

    __slots__ = ()

    def batches(self) -> Iterator[RowBatch]:
        """All rows; the job's selection was made when they were recorded."""
        for batch in self.manifest.batches():
            assert isinstance(batch, _RecordedBatch)
            keys = np.zeros(len(batch.rows), dtype=np.uint64)
            yield RowBatch([*batch.rows], batch, range(len(batch.rows)), keys, set())

    def open_batches(self, index: ItemIndex) -> Iterator[RowBatch]:
        """The same: a map of completed rows is of a manifest."""
        return self.batches()


def recorded_rows(out: Path, job: Job, defaults: RequestDefaults) -> RecordedRows:
    """The rows of an output folder that has a ledger."""
    manifest = Manifest(
        label=f"what {out} has sent",
        stem=out.name,
        columns={name: name for name in ("prompt", "id", *FIELDS)},
        extra_schema=partial(_extra_schema, out),
        batches=lambda: _Reading(out, defaults).batches(),
        changed=lambda: "the manifest cannot be read",
    )
    return RecordedRows(manifest, job, defaults)


def _extra_schema(out: Path) -> pa.Schema:
    with LedgerReader.open(out) as ledger:
        if _written_ms(ledger) is None:
            return pa.schema([])
    schema = pq.read_schema(out / RESULTS_NAME)
    return pa.schema([field for field in schema if field.name not in RESULT_NAMES])


def _written_ms(ledger: LedgerReader) -> int | None:
    """When the results table that is there was written; None where there is none, or not one of ours."""
    path = ledger.out / RESULTS_NAME
    return ledger.table_written_ms(sha256_of(path)) if path.is_file() else None


@dataclass(frozen=True, slots=True)
class _RecordedBatch(Batch):
    rows: Sequence[Row | RowProblem]


class _Reading:
    """One pass over the rows."""

    def __init__(self, out: Path, defaults: RequestDefaults) -> None:
        self._out = out
        self._extra = defaults.extra
        self._usual = dict(defaults.fields)

    def batches(self) -> Iterator[Batch]:
        """The rows of the table, then those that were sent since."""
        with LedgerReader.open(self._out) as ledger, ledger.snapshot():
            known = known_ids(ledger)
            present = np.zeros(ledger.next_item(), dtype=np.bool_)
            written_ms = _written_ms(ledger)
            position = 0
            if written_ms is not None:
                for batch in self._of_table(ledger, known, present):
                    yield batch
                    position += len(batch)
            left = np.intersect1d(known.gone(present), ledger.items_sent_since(written_ms or 0))
            for start in range(0, len(left), _ROWS):
                items = left[start : start + _ROWS].tolist()
                versions = ledger.versions(items)
                yield self._batch(
                    [_sent(position + at, versions[item]) for at, item in enumerate(items)], None
                )
                position += len(items)

    def _of_table(
        self, ledger: LedgerReader, known: KnownIds, present: npt.NDArray[np.bool_]
    ) -> Iterator[Batch]:
        """present: which items are in the table, by number; filled in."""
        with pq.ParquetFile(self._out / RESULTS_NAME) as file:
            for lines in file.iter_batches(batch_size=_ROWS):
                firsts = lines.filter(pc.equal(lines.column("image_index"), 0))
                told = firsts.select(_TOLD).to_pylist()
                keys = np.fromiter((hash(line["row_id"]) for line in told), np.int64, len(told))
                items = known.newest(keys.view(np.uint64)).tolist()
                versions = ledger.versions(items)
                rows: list[Row | RowProblem] = []
                for line, item in zip(told, items, strict=True):
                    version = versions.get(item)
                    if version is not None and version.is_called(line["row_id"]):
                        present[item] = True
                        rows.append(_sent(line["row"], version, line["row_id"]))
                    else:
                        rows.append(self._unsent(line))
                yield self._batch(rows, firsts)

    def _unsent(self, line: Mapping[str, Any]) -> Row | RowProblem:
        """A row of the table that the ledger does not know: invalid, or never sent."""
        position, row_id, prompt = line["row"], line["row_id"], line["prompt"]
        fields = tuple((name, line[name]) for name in FIELDS if line[name] is not None)
        if line["status"] == RowStatus.INVALID or prompt is None:
            texts = tuple((name, str(value)) for name, value in fields)
            return RowProblem(position, row_id, prompt, line["error_message"] or "", texts)
        request = ImageRequest(prompt, (*fields, *self._extra))
        return Row(position, row_id, request, fingerprint(row_id, prompt, self._own(request)))

    def _own(self, request: ImageRequest) -> tuple[tuple[str, str], ...]:
        """What a row itself must have set, for the job's defaults do not say it."""
        return tuple(
            (name, str(value))
            for name, value in request.params
            if name in FIELDS and self._usual.get(name) != value
        )

    def _batch(self, rows: Sequence[Row | RowProblem], lines: pa.RecordBatch | None) -> Batch:
        """lines: of the table that the rows are of, one each; None for rows that are not in it."""
        own = [dict(self._own(row.request)) if isinstance(row, Row) else {} for row in rows]
        roles: dict[str, list[str | None]] = {
            "id": [row.row_id for row in rows],
            "prompt": [row.request.prompt if isinstance(row, Row) else row.prompt for row in rows],
            **{name: [fields.get(name) for fields in own] for name in FIELDS},
        }
        texts = RecordTexts(roles, {})
        locations = Locations("row %d", [row.position for row in rows])
        return _RecordedBatch(RESULTS_NAME, locations, lambda: texts, self._extras(lines, len(rows)), rows)

    def _extras(self, lines: pa.RecordBatch | None, count: int) -> Callable[[], pa.RecordBatch]:
        def extras() -> pa.RecordBatch:
            schema = _extra_schema(self._out) if lines is None else lines.schema
            names = [name for name in schema.names if name not in RESULT_NAMES]
            if not names:
                return pa.RecordBatch.from_struct_array(pa.nulls(count, pa.struct([])))
            if lines is not None:
                return lines.select(names)
            return pa.RecordBatch.from_arrays(
                [pa.nulls(count, field.type) for field in schema], schema=schema
            )

        return extras


def _sent(position: int, version: RowVersion, row_id: str | None = None) -> Row:
    """A row as it was first sent. row_id: where it has another than its item."""
    params = {**version.params, **asked_of(version)}
    ordered = (*(name for name in FIELDS if name in params), *sorted({*params} - {*FIELDS}))
    request = ImageRequest(version.prompt, tuple((name, params[name]) for name in ordered))
    return Row(position, row_id or version.row_id, request, version.fingerprint)
