"""Which row ids a file names, and which files name none."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.retry.row_ids import row_ids
from schemas.errors import JobError


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"\n\n", "no row id in it"),
        ("a.txt", b"\xff\xfe", "utf-8"),
        ("a.csv", b"name\nx\n", "has no column row_id or id, but name"),
        ("a.parquet", b"PAR1", "a.parquet"),
    ],
)
def test_a_file_without_ids_is_refused(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(JobError, match=told):
        row_ids(tmp_path / name)


def test_ids_stay_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,n\n007,1\n1e5,2\n")
    assert row_ids(tmp_path / "a.csv") == {"007", "1e5"}
