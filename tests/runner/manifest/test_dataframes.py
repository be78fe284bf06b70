"""DataFrames: every kind of column as text in a role, and carried along as an extra."""

from __future__ import annotations

import decimal
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from runner.manifest.formats.dataframe import arrow_table
from runner.manifest.open import open_manifest
from runner.manifest.records import ManifestError
from tests.support.manifest_readback import read_back

ROLES = [
    # values of the id column, their texts
    (pd.Series(["007", None, "1e5"]), ["007", None, "1e5"]),
    (pd.Series(["007", None, "1e5"], dtype=object), ["007", None, "1e5"]),
    (pd.Series(["a", None, "b"], dtype="string"), ["a", None, "b"]),
    (pd.Series(["a", None, "b"], dtype="category"), ["a", None, "b"]),
    (pd.Series([1, 2, 3], dtype="category"), ["1", "2", "3"]),
    (pd.Series([7, 2**63 - 1, -1]), ["7", "9223372036854775807", "-1"]),
    (pd.Series([7, None, 3], dtype="Int64"), ["7", None, "3"]),
    (pd.Series([7.0, None, 0.1]), ["7.0", None, "0.1"]),
    (pd.Series([0.1, 1, 2], dtype="float32"), ["0.1", "1.0", "2.0"]),
    (pd.Series([True, False, True]), ["true", "false", "true"]),
    (pd.Series([True, None, False], dtype="boolean"), ["true", None, "false"]),
    (pd.Series([10**30, True, decimal.Decimal("1.10")], dtype=object), ["1" + "0" * 30, "true", "1.10"]),
    (pd.Series([np.int64(7), np.float32(0.1), np.bool_(True)], dtype=object), ["7", "0.1", "true"]),
    (pd.Series([b"a", pd.NA, float("nan")], dtype=object), ["a", None, None]),
    (
        pd.Series(pd.to_datetime(["2026-01-02", None, "2026-01-03"])),
        ["2026-01-02 00:00:00.000000", None, "2026-01-03 00:00:00.000000"],
    ),
    (pd.Series(pd.period_range("2026-01", periods=3, freq="M")), ["2026-01", "2026-02", "2026-03"]),
    (pd.Series([1 + 2j] * 3), ["(1+2j)"] * 3),
    (pd.Series([1, 2, 3], dtype=pd.ArrowDtype(pa.int8())), ["1", "2", "3"]),
    (pd.Series(["a", "b", None], dtype=pd.ArrowDtype(pa.string())), ["a", "b", None]),
]


@pytest.mark.parametrize(("ids", "texts"), ROLES, ids=lambda value: str(getattr(value, "dtype", "")))
def test_roles_as_text(ids: pd.Series, texts: list[str | None]) -> None:
    found = read_back(open_manifest(pd.DataFrame({"prompt": ["a", "b", "c"], "id": ids})))
    assert found.ids == texts
    assert found.prompts == ["a", "b", "c"]
    assert found.locations == ["row 0", "row 1", "row 2"]


EXTRAS = [
    # values, the type they are carried with, the values carried
    (pd.Series([1, None], dtype="Int16"), pa.int16(), [1, None]),
    (pd.Series([1, 2], dtype=object), pa.int64(), [1, 2]),
    (pd.Series([1, None], dtype=object), pa.int64(), [1, None]),
    (pd.Series(["a", None], dtype=object), pa.string(), ["a", None]),
    (pd.Series(["a", "b"]), pa.large_string(), ["a", "b"]),
    (pd.Series(["a", "b"], dtype="category"), pa.large_string(), ["a", "b"]),
    (pd.Series([1, "a"], dtype=object), pa.string(), ["1", "a"]),
    (pd.Series([1, 2.5], dtype=object), pa.string(), ["1", "2.5"]),
    (pd.Series([10**30, 1], dtype=object), pa.string(), ["1" + "0" * 30, "1"]),
    (
        pd.Series([{"é": [1, np.int64(2)]}, None], dtype=object),
        pa.struct({"é": pa.list_(pa.int64())}),
        [{"é": [1, 2]}, None],
    ),
    (pd.Series([["a"], []], dtype=object), pa.list_(pa.string()), [["a"], []]),
    (pd.Series([(1, 2), np.array([3])], dtype=object), pa.list_(pa.int64()), [[1, 2], [3]]),
    (pd.Series([{"a": 1}, {"b": 1}], dtype=object), pa.string(), ['{"a": 1}', '{"b": 1}']),
    (pd.Series([{}, {}], dtype=object), pa.string(), ["{}", "{}"]),
    (pd.Series([[], None], dtype=object), pa.string(), ["[]", None]),
    (pd.Series([["a"], "b"], dtype=object), pa.string(), ['["a"]', "b"]),
    (pd.Series([[1, "a"], np.array([1, 2])], dtype=object), pa.string(), ['[1, "a"]', "[1, 2]"]),
    (pd.Series(["\ud800", "b"], dtype=object), pa.string(), ["\\ud800", "b"]),
    (pd.Series([b"\xff", "b"], dtype=object), pa.string(), ["\\xff", "b"]),
    (pd.Series([b"\xff", None], dtype=object), pa.binary(), [b"\xff", None]),
    (pd.Series([None, None], dtype=object), pa.null(), [None, None]),
    (pd.Series([0, 1], dtype=pd.SparseDtype("int64")), pa.int64(), [0, 1]),
    (pd.Series([True, None], dtype=object), pa.bool_(), [True, None]),
    (pd.Series([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int8()))), pa.list_(pa.int8()), [[1], None]),
]


@pytest.mark.parametrize(
    ("extra", "kind", "carried"), EXTRAS, ids=lambda value: str(getattr(value, "dtype", ""))
)
def test_extras(extra: pd.Series, kind: pa.DataType, carried: list[object]) -> None:
    frame = pd.DataFrame({"prompt": ["a", "b"], "x": extra})
    manifest = open_manifest(frame)
    assert manifest.extra_schema() == pa.schema([("x", kind)])
    assert read_back(manifest).extras["x"] == carried
    assert arrow_table(frame).column("x").to_pylist() == carried


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        (["a"], "holds a list, not text"),
        ({"a": 1}, "holds a dict"),
        (b"\xff", "not UTF-8"),
        ("\ud800", "unpaired surrogate"),
    ],
)
def test_prompts_that_are_no_text(prompt: object, problem: str) -> None:
    found = read_back(open_manifest(pd.DataFrame({"prompt": pd.Series(["a", prompt, "c"], dtype=object)})))
    assert found.prompts == ["a", None, "c"]
    assert problem in found.malformed[1] and found.malformed[1].startswith("row 1: column 'prompt' ")


def test_column_names_and_index() -> None:
    frame = pd.DataFrame([["a", 1, 2, 3]], columns=["prompt", 7, ("x", "y"), 7], index=["left out"])
    found = read_back(open_manifest(frame))
    assert found.extras == {"7": [1], "('x', 'y')": [2], "7_2": [3]}


def test_an_index_that_repeats_or_is_sliced() -> None:
    frame = pd.DataFrame({"prompt": [f"p{i}" for i in range(3_000)]}, index=[0] * 3_000)[::2]
    assert read_back(open_manifest(frame)).prompts == [f"p{i}" for i in range(0, 3_000, 2)]


def test_no_rows_and_no_prompts() -> None:
    assert read_back(open_manifest(pd.DataFrame({"prompt": []}))).prompts == []
    with pytest.raises(ManifestError, match="DataFrame has no prompt column"):
        open_manifest(pd.DataFrame({"words": ["a"]}))
    found = read_back(open_manifest(pd.DataFrame({"words": ["a"], "n": [2]}), prompt_col="words"))
    assert found.roles == {"prompt": ["a"], "n": ["2"]}


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        ([1.0, None], ["1", None]),
        ([1.0, 2.5], ["1.0", "2.5"]),
        (pd.Series([7.0, None], dtype=object), ["7", None]),
        (pd.Series([7.0, "a"], dtype=object), ["7.0", "a"]),
        ([float("inf"), 1.0], ["inf", "1.0"]),
    ],
)
def test_whole_ids_that_pandas_made_floats(ids: object, texts: list[str | None]) -> None:
    table = arrow_table(pd.DataFrame({"prompt": ["a", "b"], "id": ids}))
    assert table.column("id").to_pylist() == texts


def test_labels() -> None:
    manifest = open_manifest(pd.DataFrame({"prompt": ["a"]}))
    assert (manifest.label, manifest.stem) == ("DataFrame", "manifest")


FILES = """
import sys
from pathlib import Path
from runner.manifest.open import open_manifest
for name in ("a.csv", "a.parquet", "a.jsonl"):
    for batch in open_manifest(Path(sys.argv[1], name)).batches():
        batch.extras()
print("pandas" in sys.modules)
"""


def test_files_are_read_without_pandas(tmp_path: object) -> None:
    """It takes seconds to import."""
    frame = pd.DataFrame({"prompt": ["a"], "x": ["b"]})
    frame.to_csv(f"{tmp_path}/a.csv")
    frame.to_parquet(f"{tmp_path}/a.parquet")
    frame.to_json(f"{tmp_path}/a.jsonl", orient="records", lines=True)
    done = subprocess.run(
        [sys.executable, "-c", FILES, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("False\n", "")
