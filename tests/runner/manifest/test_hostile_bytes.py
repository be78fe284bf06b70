"""Whatever the bytes are, a manifest gives records or a JobError, and a damaged record costs no other."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.manifest.open import open_manifest
from schemas.errors import JobError
from tests.support.manifest_readback import Found, read_back
from tests.support.odd_manifests.parquets import parquet
from tests.support.odd_manifests.texts import zstd

PROMPTS = [f'thing "{i}", {i * i}\nand more' for i in range(12)]
EXAMPLES = settings(deadline=None, max_examples=150)


def csv_text(delimiter: str) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows([("id", "prompt"), *enumerate(PROMPTS)])
    return out.getvalue().encode()


LINES = "".join(
    json.dumps({"id": i, "prompt": p, "x": [i, {"y": p}]}) + "\n" for i, p in enumerate(PROMPTS)
).encode()

WHOLE: dict[str, bytes] = {
    "a.csv": csv_text(","),
    "a.tsv": csv_text("\t"),
    "a.jsonl": LINES,
    "a.json": json.dumps([{"prompt": p, "x": [p]} for p in PROMPTS], indent=1).encode(),
    "a.txt": "\n".join(PROMPTS).encode(),
    "a.data": csv_text(";"),
    "a.csv.gz": gzip.compress(csv_text(",")),
    "a.jsonl.zst": zstd(LINES),
    "a.parquet": parquet(
        {"prompt": pa.array(PROMPTS), "x": pa.array([[i] for i in range(12)])}, row_group_size=4
    ),
}

NOISE = st.binary(max_size=6) | st.sampled_from(
    [b'"', b'""', b"\n", b"\r", b"\t", b",", b"\xff\xfe", b"{", b"]", b"\0"]
)
CHANGES = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 6), NOISE), max_size=4)


def changed(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Each change puts something in the place of a few bytes."""
    for at, length, noise in changes:
        at %= len(data) + 1
        data = data[:at] + noise + data[at + length :]
    return data


def read_bytes(name: str, data: bytes) -> Found | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            return read_back(open_manifest(path))
        except JobError as stop:
            assert stop.message and "\n" not in stop.message
            return None


@EXAMPLES
@given(st.sampled_from(sorted(WHOLE)), CHANGES)
def test_changed_bytes_stop_nothing_but_the_job(name: str, changes: list[tuple[int, int, bytes]]) -> None:
    read_bytes(name, changed(WHOLE[name], changes))


@EXAMPLES
@given(st.sampled_from(sorted(WHOLE)), st.binary(max_size=200))
def test_random_bytes_stop_nothing_but_the_job(name: str, data: bytes) -> None:
    read_bytes(name, data)


STRAY = st.sampled_from(['"', 'x"', '"x', "", "x", "x,y,z", '"a"b,1', 'a,"b', ',"', '"",x"', '"a,\x00'])


@EXAMPLES
@given(st.integers(0, 5), STRAY, st.sampled_from([("a.csv", ","), ("a.tsv", "\t")]))
def test_one_stray_line_costs_no_other_record(before: int, stray: str, form: tuple[str, str]) -> None:
    """Every record of one line is there, in order, whatever line stands between them."""
    name, mark = form
    good = [f"p{i}{mark}{i}" for i in range(8)]
    lines = [f"prompt{mark}n", *good[:before], stray.replace(",", mark), *good[before:]]
    found = read_bytes(name, "\n".join(lines).encode())
    assert found is not None
    kept = [prompt for prompt in found.prompts if prompt is not None and prompt.startswith("p")]
    assert kept == [f"p{i}" for i in range(8)]
    assert len(found.prompts) <= 9
