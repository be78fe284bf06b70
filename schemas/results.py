"""Columns of `results.parquet`: names, Arrow types and meanings. Importing this module imports pyarrow."""

from __future__ import annotations

import pyarrow as pa

COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("row_id", pa.string(), "the manifest's id, or one derived from the row's content"),
    ("row", pa.int64(), "manifest position, from 0"),
    ("image_index", pa.int16(), "which of the row's n images, from 0"),
    ("status", pa.string(), "succeeded, failed, parked, pending or invalid"),
    ("prompt", pa.string(), "as in the manifest, byte for byte"),
    ("sent_prompt", pa.string(), "as `retry` changed it; null: the manifest's prompt, or nothing was sent"),
    ("revised_prompt", pa.string(), "as the service answered; null when it sent none"),
    ("model", pa.string(), "as requested"),
    ("size", pa.string(), "as requested; null: not sent"),
    ("quality", pa.string(), "as requested; null: not sent"),
    ("background", pa.string(), "as requested; null: not sent"),
    ("moderation", pa.string(), "as requested; null: not sent"),
    ("output_format", pa.string(), "as requested; null: not sent"),
    ("response_format", pa.string(), "as requested; null: not sent"),
    ("output_compression", pa.int16(), "as requested; null: not sent"),
    ("n", pa.int16(), "images asked for by the row's request; null: not sent (1)"),
    ("file_name", pa.string(), "image file, relative to the output folder; null: none"),
    ("format", pa.string(), "of the file, read from its bytes"),
    ("width", pa.int32(), "pixels"),
    ("height", pa.int32(), "pixels"),
    ("bytes", pa.int64(), "size of the file"),
    ("sha256", pa.string(), "hex digest of the file"),
    ("error_kind", pa.string(), "what went wrong; null: nothing"),
    ("error_code", pa.string(), "the service's own code"),
    ("error_message", pa.string(), "the service's text, or ours"),
    ("http_status", pa.int16(), "of the last answer"),
    ("attempts", pa.int32(), "requests sent for this row"),
    ("attempt", pa.int64(), "the attempt that this row tells: its number in the ledger; null: none yet"),
    ("try_number", pa.int32(), "which of the row's attempts that is, from 1; null: none yet"),
    ("maybe_billed", pa.int32(), "attempts that may have been paid for without yielding an image"),
    ("cost_usd", pa.float64(), "this image's share of the cost, reported or estimated (see flags)"),
    ("input_tokens", pa.int64(), "of the last attempt, as reported"),
    ("output_tokens", pa.int64(), "of the last attempt, as reported"),
    ("endpoint", pa.string(), "base URL"),
    ("request_id", pa.string(), "the service's id of the last request"),
    ("task_id", pa.string(), "the service's id of the task, async dialects"),
    ("created", pa.timestamp("ms", tz="UTC"), "the service's `created`"),
    ("started_at", pa.timestamp("ms", tz="UTC"), "when the last attempt was sent"),
    ("finished_at", pa.timestamp("ms", tz="UTC"), "when its outcome was recorded"),
    ("latency_s", pa.float64(), "seconds from send to last byte, last attempt"),
    (
        "flags",
        pa.list_(pa.string()),
        "format_mismatch, size_mismatch, fewer_images, estimated_cost, edited, …",
    ),
)

RESULTS_SCHEMA = pa.schema([pa.field(name, kind) for name, kind, _ in COLUMNS])
UNREPEATED = frozenset(
    {
        *(
            "row_id",
            "row",
            "prompt",
            "sent_prompt",
            "revised_prompt",
            "file_name",
            "bytes",
            "sha256",
            "attempt",
        ),
        *("error_message", "request_id", "task_id", "created", "started_at", "finished_at", "latency_s"),
    }
)
"""Columns whose values rarely come twice, so that a dictionary of them is of no use."""
RESULT_NAMES = frozenset(RESULTS_SCHEMA.names)
CLASH_PREFIX = "manifest_"


def passthrough_name(column: str, taken: frozenset[str] | set[str]) -> str:
    """The results column for a manifest column: its own name, or prefixed when that name is taken."""
    name = column
    while name in taken:
        name = CLASH_PREFIX + name
    return name
