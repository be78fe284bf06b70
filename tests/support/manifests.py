"""Manifests made by hand, for tests of what comes after the readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from runner.config.credentials import ResolvedEndpoint
from runner.manifest.records import Batch, Manifest, RecordTexts
from runner.planning.prepare import PreparedJob
from runner.planning.row_stream import RowStream, request_defaults
from schemas.job import Job
from schemas.providers import PROFILES
from tests.support.canary import CANARY

Record = Mapping[str, str | None]
MALFORMED = "malformed"


def manifest(records: Sequence[Record], extras: pa.Table | None = None, *, batch: int = 2) -> Manifest:
    """A manifest of these records: role -> text. A record with the key `malformed` is one, with that message."""
    roles = sorted({"prompt", *(name for record in records for name in record)} - {MALFORMED})
    others = extras if extras is not None else pa.table({})

    def batches() -> Iterator[Batch]:
        for start in range(0, len(records), batch):
            part = records[start : start + batch]
            count = len(part)
            texts = RecordTexts(
                {role: [record.get(role) for record in part] for role in roles},
                {i: str(record[MALFORMED]) for i, record in enumerate(part) if MALFORMED in record},
            )
            yield Batch(
                source="by hand",
                locations=[f"line {start + i + 2}" for i in range(count)],
                texts=lambda texts=texts: texts,  # type: ignore[misc]
                extras=lambda start=start, count=count: _cut(others, start, count),  # type: ignore[misc]
            )

    return Manifest("by hand", "by_hand", {role: role for role in roles}, lambda: others.schema, batches)


def _cut(table: pa.Table, start: int, count: int) -> pa.RecordBatch:
    part = table.slice(start, count).combine_chunks()
    columns = [column.combine_chunks() for column in part.columns]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def prompts(*texts: str) -> list[Record]:
    """A record for each prompt, with ids `r0`, `r1`, …"""
    return [{"id": f"r{i}", "prompt": text} for i, text in enumerate(texts)]


def row_stream(
    records: Sequence[Record], extras: pa.Table | None = None, *, batch: int = 2, **job: Any
) -> RowStream:
    """The rows of these records. job: tables of the job file."""
    made = Job.model_validate({"request": {"model": "m"}, **job})
    return RowStream(
        manifest(records, extras, batch=batch), made, request_defaults(made, PROFILES["dieyuyun"])
    )


def prepared(
    out: Path, source: RowStream, base_url: str = "https://images.example/v1", profile: str = "dieyuyun"
) -> PreparedJob:
    """A job with these rows, made ready for a service. out: its folder, which need not be there."""
    endpoint = ResolvedEndpoint(base_url, PROFILES[profile], "a test")
    return PreparedJob(source.job, endpoint, CANARY, source, out, "r")
