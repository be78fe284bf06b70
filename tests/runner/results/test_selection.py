"""Which results rows are chosen: by expression, picks and sample, each alone and together."""

from __future__ import annotations

import pyarrow as pa
import pytest

from runner.results.picks import Pick, Picks
from runner.results.selection import ResultsSelection
from schemas.errors import JobError

TABLE = pa.table(
    {
        "row_id": [f"r{row}" for row in range(20) for _ in range(2)],
        "row": [row for row in range(20) for _ in range(2)],
        "image_index": pa.array([0, 1] * 20, pa.int16()),
        "sha256": ["ab" * 32] * 40,
    }
)
SPLIT = [TABLE.slice(first, 7) for first in range(0, 40, 7)]


def chosen(selection: ResultsSelection, tables: list[pa.Table] = SPLIT) -> list[tuple[str, int]]:
    found = list(selection.select(TABLE.schema, lambda: tables))
    assert all(table.num_rows for table in found)
    return [(each["row_id"], each["image_index"]) for table in found for each in table.to_pylist()]


def test_everything_in_order() -> None:
    assert chosen(ResultsSelection()) == [(f"r{row}", index) for row in range(20) for index in (0, 1)]


def test_an_expression() -> None:
    assert chosen(ResultsSelection(where="row = 3 AND image_index = 1")) == [("r3", 1)]


def test_picks_and_an_expression_over_them() -> None:
    by_image = {
        ("r1", 0): Pick("", 5, "", ""),
        ("r2", 1): Pick("", 2, "", ""),
        ("r9", 0): Pick("", None, "", ""),
    }
    assert chosen(ResultsSelection(picks=Picks("p", by_image))) == [("r1", 0), ("r2", 1), ("r9", 0)]
    assert chosen(ResultsSelection("rating >= 4", Picks("p", by_image))) == [("r1", 0)]


def test_rating_is_no_column_without_picks() -> None:
    with pytest.raises(JobError, match="rating"):
        chosen(ResultsSelection("rating >= 4"))


def test_picks_of_another_folder() -> None:
    with pytest.raises(JobError, match="of this folder"):
        chosen(ResultsSelection(picks=Picks("p", {("x", 0): Pick("", 1, "", "")})))


def test_a_sample_is_of_whole_rows_and_depends_on_seed_and_ids_alone() -> None:
    first = chosen(ResultsSelection(sample=4, seed=1))
    assert len(first) == 8
    assert {row_id for row_id, _ in first} == {row_id for row_id, index in first if index == 1}
    assert first == chosen(ResultsSelection(sample=4, seed=1), [TABLE])
    assert first != chosen(ResultsSelection(sample=4, seed=2))
    assert set(first) < set(chosen(ResultsSelection(sample=5, seed=1)))
    assert chosen(ResultsSelection(sample=99)) == chosen(ResultsSelection())


def test_a_sample_is_drawn_from_what_is_chosen_and_counts_each_pick_once() -> None:
    picks = Picks("p", {(f"r{row}", 0): Pick("", 1, "", "") for row in range(6)})
    found = chosen(ResultsSelection("row < 5", picks, sample=3))
    assert len(found) == 3 and {row_id for row_id, _ in found} < {f"r{row}" for row in range(5)}
    assert (picks.used, picks.stale) == (6, 0)
