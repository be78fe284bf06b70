"""Results as script data."""

from __future__ import annotations

import json
import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.reports.script_data import cell, cells, literal, packed

CELLS = st.lists(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3), st.floats(0, 2))
)


@given(st.text())
def test_a_literal_holds_no_markup_and_reads_back(text: str) -> None:
    written = literal(text)
    assert written.isascii()
    assert not set("<>&") & set(written)
    assert json.loads(written) == text


@given(CELLS.filter(bool))
def test_packed_columns_read_back(values: list[object]) -> None:
    form = packed(values)
    if isinstance(form, list):
        unpacked = form
    elif "i" in form:
        unpacked = [form["d"][place] for place in form["i"]]
    else:
        unpacked = [form["c"]] * len(values)
    assert list(map(repr, unpacked)) == list(map(repr, values))


@pytest.mark.parametrize(
    ("value", "told"),
    [(2**53, "9007199254740992"), (math.nan, "nan"), (b"abc", "3 bytes"), ({"a": 1}, '{"a": 1}')],
)
def test_cells_that_json_does_not_know(value: object, told: str) -> None:
    assert cell(value) == told


def test_times_are_milliseconds_and_lists_are_texts() -> None:
    table = pa.table(
        {
            "t": pa.array([1500, None], pa.timestamp("ms", tz="UTC")),
            "f": pa.array([["a", "b"], []], pa.list_(pa.string())),
        }
    )
    assert cells(table.column("t")) == [1500, None]
    assert cells(table.column("f")) == ["a, b", None]
