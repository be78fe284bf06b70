"""Parquet: lazily read columns, batches of bounded size, damaged files."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.manifest.formats.parquet import MAX_BATCH_BYTES
from runner.manifest.open import open_manifest
from runner.manifest.records import ManifestError
from tests.support.odd_manifests.parquets import parquet

ROWS = 7_000
TABLE = {
    "prompt": pa.array([f"thing {i}" for i in range(ROWS)]),
    "id": pa.array(range(ROWS)),
    "tag": pa.array([f"tag {i}" for i in range(ROWS)]).dictionary_encode(),
    "x": pa.array([[i] for i in range(ROWS)]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet(TABLE, row_group_size=1_500))
    return path


def test_extras_in_any_order_and_after_the_end(path: Path) -> None:
    batches = list(open_manifest(path).batches())
    assert sum(map(len, batches)) == ROWS
    starts = [int(batch.locations[0].removeprefix("row ")) for batch in batches]
    for at in (3, 1, 1, len(batches) - 1, 0, 4):
        extras = batches[at].extras()
        wanted = range(starts[at], starts[at] + len(batches[at]))
        assert extras.column("tag").to_pylist() == [f"tag {row}" for row in wanted]
        assert extras.column("x").to_pylist() == [[row] for row in wanted]


@given(st.data(), st.integers(100, ROWS), st.booleans())
def test_records_in_any_order(data: st.DataObject, group: int, in_order: bool) -> None:
    """Whatever is asked for, with whatever left out and however many row groups lie between, is what stands there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        path.write_bytes(parquet(TABLE, row_group_size=group))
        batches = list(open_manifest(path).batches())
        numbers = st.lists(st.integers(0, len(batches) - 1), min_size=1)
        chosen = data.draw(numbers)
        for batch in (batches[at] for at in (sorted(set(chosen)) if in_order else chosen)):
            start = int(batch.locations[0].removeprefix("row "))
            wanted = range(start, start + len(batch))
            assert batch.roles["prompt"] == [f"thing {row}" for row in wanted]
            assert batch.roles["id"] == [str(row) for row in wanted]
            assert not batch.malformed


def test_row_groups_that_no_one_asks_for_are_not_read(tmp_path: Path) -> None:
    """A row group whose pages are damaged does no harm until its records are wanted."""
    prompts = [f"{i:04d}" + "é" * 90 for i in range(6_000)]
    data = parquet(
        {"prompt": pa.array(prompts)},
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
        row_group_size=1_000,
    )
    at = data.index(prompts[3_500].encode())
    path = tmp_path / "a.parquet"
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    first, *_, last = open_manifest(path).batches()
    assert first.roles["prompt"] == prompts[:64]
    assert last.roles["prompt"] == prompts[-len(last) :]
    with pytest.raises(ManifestError, match=r"a\.parquet cannot be read"):
        for batch in open_manifest(path).batches():
            assert batch.roles


def test_readings_do_not_disturb_each_other(path: Path) -> None:
    manifest = open_manifest(path)
    for left, right in zip(manifest.batches(), manifest.batches(), strict=True):
        assert left.roles == right.roles
        assert left.extras().equals(right.extras())


def test_extras_are_dictionary_decoded_and_keep_their_types(path: Path) -> None:
    schema = open_manifest(path).extra_schema()
    assert schema.names == ["tag", "x"]
    assert schema.types == [pa.string(), pa.list_(pa.field("element", pa.int64()))]


def test_columns_that_no_one_asks_for_are_not_read(tmp_path: Path) -> None:
    """A column whose pages are damaged does no harm until its values are wanted."""
    data = parquet(
        {"big": pa.array(["é" * 90] * 999), "prompt": pa.array(["a"] * 999)},
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
    )
    at = data.index("é".encode() * 90) + 5_000
    path = tmp_path / "a.parquet"
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    batches = list(open_manifest(path).batches())
    assert [prompt for batch in batches for prompt in batch.roles["prompt"]] == ["a"] * 999
    with pytest.raises(ManifestError, match=r"a\.parquet cannot be read"):
        batches[0].extras()


def test_batches_of_large_values_are_small(tmp_path: Path) -> None:
    image = pa.array([bytes([i]) * 1_000_000 for i in range(60)])
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet({"prompt": pa.array(["a"] * 60), "image": image}, compression="none"))
    manifest = open_manifest(path)
    pool = pa.default_memory_pool()
    held = pool.bytes_allocated()
    largest = 0
    for batch in manifest.batches():
        assert [len(value) for value in batch.extras().column("image").to_pylist()] == [1_000_000] * len(
            batch
        )
        largest = max(largest, pool.bytes_allocated() - held)
    assert largest < 64 * 1_000_000 + 4 * MAX_BATCH_BYTES


def test_a_file_that_vanishes(path: Path) -> None:
    manifest = open_manifest(path)
    first = next(manifest.batches())
    path.unlink()
    with pytest.raises(ManifestError, match=r"a\.parquet is not there"):
        next(manifest.batches())
    with pytest.raises(ManifestError, match=r"a\.parquet is not there"):
        first.extras()


FOOTERS = """
import sys
import tempfile
from pathlib import Path
from runner.manifest.open import open_manifest
from schemas.errors import JobError

path = Path(sys.argv[1])
whole = path.read_bytes()
footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
outcomes = {"read": 0, "refused": 0}
for at in range(footer, len(whole)):
    for flipped in (1, 0x10, 0xFF):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flipped]) + whole[at + 1 :])
        try:
            for batch in open_manifest(path).batches():
                batch.extras()
            outcomes["read"] += 1
        except JobError:
            outcomes["refused"] += 1
print(outcomes["read"] > 0, outcomes["refused"] > 0)
"""


def test_every_damaged_footer_is_refused_or_read(tmp_path: Path) -> None:
    """In a process of its own, for asking pyarrow about a damaged column chunk ends the process."""
    out = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a", "b"], "x": [[1], None]}), out, store_schema=False)
    path = tmp_path / "a.parquet"
    path.write_bytes(out.getvalue())
    done = subprocess.run(
        [sys.executable, "-c", FOOTERS, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True\n", "")
