"""Which row ids a file names, and which files name none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from runner.retry.row_ids import row_ids
from schemas.errors import ExitCode, JobError
from tests.support.odd_manifests.parquets import parquet


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"\n\n", "no row id in it"),
        ("a.txt", b"\xff\xfe", "no row id in it"),
        ("a.txt", b"a\nDal\xed\n", "line 2: byte 5 of the file"),
        ("a.csv", b"name\nx\n", "has no column row_id or id, but name"),
        ("a.csv", b"", "is empty: it has no header"),
        ("a.parquet", b"PAR1", "a.parquet"),
        ("a.xlsx", b"PK", "files are not read"),
        ("a.csv.gz", b"\x1f\x8bxxxx", "damaged"),
    ],
)
def test_a_file_without_ids_is_refused(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(JobError, match=told) as error:
        row_ids(tmp_path / name)
    assert error.value.message.startswith("--rows ") and error.value.exit_code == ExitCode.USAGE


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"--rows there is no file .*a\.csv"):
        row_ids(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"id,n\n007,1\n1e5,2\n"),
        ("a.csv", b"note;row_id\r\nx;007\r\ny;1e5\r\n"),
        ("a.csv", b"sep=;\r\nrow_id;note\r\n007;x\r\n1e5;y\r\n"),
        ("a.csv", b"row_id|id\n007|x\n1e5|y\n"),
        ("a.csv", "row_id\tnote\r\n007\tx\r\n1e5\ty\r\n".encode("utf-16")),
        ("a.tsv", b"row_id\tnote\n007\tx\n1e5\ty\n"),
        ("a.txt", b"\xef\xbb\xbf007\n\n 1e5 \n"),
        ("a.txt", "row_id\tnote\r\n007\tx\r\n1e5\ty\r\n".encode("utf-16")),
        ("a.txt", "007\r\n1e5\r\n".encode("utf-16")),
        ("ids", b"007\n1e5\n"),
        ("a.list", b"007\n1e5\n"),
        ("a.jsonl", b'{"row_id": "007"}\n{"row_id": "1e5", "x": [1]}\n'),
        ("a.json", b'[{"id": "007"}, {"id": 1e5}]'),
        ("a.json", b'["007", "1e5"]'),
        ("a.csv.gz", gzip.compress(b"row_id\n007\n1e5\n", mtime=0)),
        ("a.parquet", parquet({"row_id": pa.array(["007", "1e5", None])})),
    ],
)
def test_ids_stay_text_in_every_form_of_a_manifest(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert row_ids(tmp_path / name) == {"007", "1e5"}
