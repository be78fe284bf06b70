"""Tables for spreadsheets: no cell is a formula, none is lost, and the sheets are as long as sheets can be."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from runner.exports.destination import Destination, locked
from runner.exports.spreadsheet import safe_cell, write_tables


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1", "'＝1"),
        ("'=1", "''=1"),
        ("'tis", "'tis"),
        ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        ("007", "007"),
        (-1, "-1"),
        (None, ""),
        (True, "true"),
        (["a", "b"], '["a", "b"]'),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
    ],
)
def test_a_cell(value: Any, cell: str) -> None:
    assert safe_cell(value) == cell


def test_sheets_go_on_in_another_file(tmp_path: Path) -> None:
    table = pa.table({"=a": ["x\ny", "ü", '"q"', "z"], "b": [1, 2, 3, 4]})
    dest = Destination(tmp_path / "d", {}, copy=False)
    with locked(dest.root):
        dest.start({"results.csv", "results-2.csv", "results-3.csv"})
        assert write_tables(iter([table.slice(0, 3), table.slice(3)]), ("b", "=a"), dest, most_lines=2) == (
            4,
            2,
        )
        dest.finish()
    content = (tmp_path / "d/results.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") and content.count(b"\r\n") == 3
    found = [
        list(csv.reader((tmp_path / "d" / name).open(encoding="utf-8-sig", newline="")))
        for name in ("results.csv", "results-2.csv")
    ]
    assert found == [[["b", "'=a"], ["1", "x\ny"], ["2", "ü"]], [["b", "'=a"], ["3", '"q"'], ["4", "z"]]]
