"""arrow.py scan|copy MANIFEST [COPY]: read a manifest from start to end as plainly as pyarrow does it, or copy it so.

Prints the seconds that it took and the rows.
"""

from __future__ import annotations

import json
import sys
import time

import pyarrow.parquet as pq


def scan(manifest: str) -> int:
    """Read every batch and drop it."""
    return sum(batch.num_rows for batch in pq.ParquetFile(manifest).iter_batches())


def copy(manifest: str, target: str) -> int:
    """Read every batch and write it."""
    source = pq.ParquetFile(manifest)
    rows = 0
    with pq.ParquetWriter(target, source.schema_arrow, compression="zstd") as writer:
        for batch in source.iter_batches():
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


if __name__ == "__main__":
    began = time.perf_counter()
    count = scan(sys.argv[2]) if sys.argv[1] == "scan" else copy(sys.argv[2], sys.argv[3])
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - began, "rows": count}) + "\n")
