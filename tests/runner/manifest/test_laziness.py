"""G11: opening reads the head of a file only, batches grow from small ones, memory does not grow with the length."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.manifest.open import open_manifest
from tests.support.manifest_readback import read_back

MIB = 1024 * 1024
LINE = "a photo of thing number {0}, in the style of painter {0}"
FORMS = {
    "a.csv": ("id,prompt,tag", '{0:07d},"' + LINE + '",t{0}'),
    "a.tsv": ("id\tprompt\ttag", "{0:07d}\t" + LINE + "\tt{0}"),
    "a.jsonl": ("", '{{"id": {0}, "prompt": "' + LINE + '", "x": [{0}]}}'),
    "a.json": ("[", '{{"id": {0}, "prompt": "' + LINE + '"}},'),
    "a.txt": ("", LINE),
}


def text(name: str, rows: int) -> bytes:
    head, line = FORMS[name]
    body = "\n".join(line.format(number) for number in range(rows))
    return f"{head}\n{body.removesuffix(',')}{']' if head == '[' else ''}\n".lstrip("\n").encode()


@pytest.mark.parametrize("name", sorted(FORMS))
def test_opening_reads_the_head_only(name: str, tmp_path: Path) -> None:
    """Of a file that breaks off after two megabytes nothing is noticed before the first batch."""
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(text(name, 50_000)[: 2 * MIB])[:-8])
    manifest = open_manifest(path)
    first = next(manifest.batches())
    assert len(first) == 64 and first.roles["prompt"][63] == LINE.format(63)


@pytest.mark.parametrize("name", sorted(FORMS))
def test_batches_grow(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text(name, 5_000))
    found = read_back(open_manifest(tmp_path / name))
    assert found.sizes == [64, 256, 2_048, 2_048, 584]
    assert found.prompts == [LINE.format(number) for number in range(5_000)]
    assert not found.malformed


def test_batches_of_long_records_end_early(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\n".join([b"x" * MIB] * 20))
    assert max(read_back(open_manifest(tmp_path / "a.txt")).sizes) <= 6


def peak_bytes(path: Path) -> int:
    """The most that Python objects take while the whole manifest is read."""
    manifest = open_manifest(path)
    manifest.extra_schema()
    tracemalloc.start()
    try:
        for batch in manifest.batches():
            batch.extras()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", sorted(FORMS))
def test_objects_do_not_grow_with_the_length(name: str, tmp_path: Path) -> None:
    short, long = tmp_path / f"short-{name}", tmp_path / f"long-{name}"
    short.write_bytes(text(name, 5_000))
    long.write_bytes(text(name, 16_000))
    assert peak_bytes(long) < peak_bytes(short) + 2 * MIB


RESIDENT = """
import sys
from pathlib import Path
from runner.manifest.open import open_manifest

def highest():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

def read(path):
    return sum(len(batch) + 0 * batch.extras().num_rows for batch in open_manifest(path).batches())

few, before = read(sys.argv[1]), highest()
many = read(sys.argv[2])
print(few, many, highest() - before)
"""


def growth(few: Path, many: Path) -> int:
    """How many bytes more the process takes for `many`, which has fifty times as many records, than for `few`."""
    run = [sys.executable, "-c", RESIDENT, str(few), str(many)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    found = [int(number) for number in done.stdout.split()]
    assert found[:2] == [20_000, 1_000_000]
    return found[2]


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs /proc to see the memory of a process"
)
def test_a_million_records_take_no_more_memory(tmp_path: Path) -> None:
    head, line = FORMS["a.csv"]
    lines = "".join(line.format(number) + "\n" for number in range(20_000))
    prompts = pa.array([LINE.format(number) for number in range(20_000)])
    table = pa.table({"prompt": prompts, "id": prompts, "x": prompts})
    for name, times in (("few", 1), ("many", 50)):
        (tmp_path / f"{name}.csv").write_text(f"{head}\n{lines * times}")
        rows = pa.concat_tables([table] * times)
        pq.write_table(rows, tmp_path / f"{name}.parquet", row_group_size=1_000_000, use_dictionary=False)
    for form in ("csv", "parquet"):
        assert growth(tmp_path / f"few.{form}", tmp_path / f"many.{form}") < 30 * MIB


def test_a_long_frame_is_not_copied() -> None:
    frame = pd.DataFrame({"prompt": [LINE.format(number) for number in range(100_000)]})
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    tracemalloc.start()
    try:
        rows = sum(map(len, open_manifest(frame).batches()))
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    assert rows == 100_000 and pool.bytes_allocated() - before < 4 * MIB
