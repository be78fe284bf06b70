"""What is read of an output folder: its name, the results table's types, paths."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.api.tables import NoFolder, first_images, folder_of, kinds_of, results
from schemas.errors import JobError


def ledger(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "ledger.sqlite").touch()
    return folder


def test_a_folder_that_is_none_is_named_with_the_nearest(tmp_path: Path) -> None:
    ledger(tmp_path / "runs/night")
    with pytest.raises(NoFolder) as error:
        folder_of(tmp_path / "runs/nigth")
    assert error.value.fix == f"did you mean {str(tmp_path / 'runs/night')!r}?"
    assert error.value.exit_code == 2
    assert error.value.__notes__ == [f"fix: {error.value.fix}"]
    with pytest.raises(NoFolder) as error:
        folder_of(tmp_path / "runs/xyz")
    assert error.value.fix == f"there are: {tmp_path / 'runs/night'}"
    with pytest.raises(FileNotFoundError, match="is not an output folder of imagemill"):
        folder_of(tmp_path / "nowhere/at/all")


def test_a_folder_without_a_table_yet(tmp_path: Path) -> None:
    with pytest.raises(NoFolder, match="has no results table yet"):
        results(ledger(tmp_path / "a"))


def test_types_are_nullable_and_paths_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table(
        {
            "row_id": ["a", "b", "c"],
            "file_name": ["images/a.png", None, "s3://bucket/c.png"],
            "width": pa.array([64, None, 32], pa.int32()),
            "error_kind": pa.array([None, "auth", None], pa.string()),
        }
    )
    out = ledger(tmp_path / "a")
    pq.write_table(table, out / "results.parquet")
    monkeypatch.chdir(tmp_path)
    frame = results("a")
    assert [str(frame[name].dtype) for name in ("width", "error_kind", "path")] == [
        "Int32",
        "string",
        "string",
    ]
    assert frame["path"].tolist() == [str(out / "images/a.png"), pd.NA, "s3://bucket/c.png"]
    assert first_images(Path("a"), 5) == [("a", Path("a/images/a.png"))]
    pq.write_table(table.append_column("path", pa.array(["x", "y", "z"])), out / "results.parquet")
    assert results("a")["path"].tolist() == ["x", "y", "z"]


def test_a_kind_that_is_none_is_named_with_the_nearest() -> None:
    assert {kind.value for kind in kinds_of(["auth", "quota"])} == {"auth", "quota"}
    with pytest.raises(JobError, match="moderatoin: no such kind of error, did you mean moderation"):
        kinds_of("moderatoin")
