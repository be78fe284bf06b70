"""`python tests/support/parquet_sample.py`: writes sample_batches/prompts.parquet, a manifest whose columns have types.

Extra columns keep their types in results.parquet: whole numbers stay whole numbers, null stays null, lists stay lists.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SAMPLE = Path(__file__).resolve().parents[2] / "sample_batches" / "prompts.parquet"

SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.int64()),
        pa.field("caption", pa.string()),
        pa.field("n", pa.int16()),
        pa.field("size", pa.string()),
        pa.field("seed", pa.uint32()),
        pa.field("cfg", pa.float32()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("outdoors", pa.bool_()),
        pa.field("written", pa.timestamp("ms", tz="UTC")),
    ]
)

_WRITTEN = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)

ROWS: tuple[tuple[Any, ...], ...] = (
    (101, "A stone bridge over a slow river, willows, early morning mist", None, None, 11, 7.5,
     ["landscape", "water"], True, _WRITTEN),
    (102, "A clockmaker's bench seen from above, springs and gears in order of size", 2, None, 4_294_967_295, None,
     ["still life"], False, _WRITTEN),
    (103, "A library inside a whale, reading lamps along the ribs", None, "1536x1024", None, 4.0,
     [], False, None),
    (104, "Three paper boats in a gutter after the rain, seen from very low", None, "1024x1536", 13, 7.5,
     ["street", "water", None], True, None),
    (105, "A postage stamp showing a hoopoe, engraved, perforated edge", None, None, 17, None,
     None, None, _WRITTEN),
    (106, "An astronaut mending a fishing net on a quiet pier", None, None, None, None,
     ["portrait", "water"], True, None),
)  # fmt: skip


def table() -> pa.Table:
    """The sample's rows."""
    columns = zip(*ROWS, strict=True)
    return pa.Table.from_arrays(
        [pa.array(list(values), field.type) for values, field in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


def write(path: Path) -> None:
    """Write the sample to `path`."""
    pq.write_table(table(), path, compression="zstd")


if __name__ == "__main__":
    write(SAMPLE)
