"""Which rows take part: samples that hang on ids and seed only, and the first row of each value."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from jobs.selection import DistinctFilter, sample
from schemas.request import ImageRequest
from schemas.row import Row, RowProblem

IDS = st.lists(st.text(max_size=6), unique=True, max_size=40)
SEEDS = st.integers(-(2**63), 2**63)


def rows(ids: list[str]) -> list[Row | RowProblem]:
    """A row for each id, every third one a problem."""
    return [
        RowProblem(i, row_id, None, "bad") if i % 3 == 2 else Row(i, row_id, ImageRequest("p", ()), bytes(16))
        for i, row_id in enumerate(ids)
    ]


def chosen(ids: list[str], size: int, seed: int) -> set[str]:
    """The ids of a sample."""
    return {ids[position] for position in sample(rows(ids), size, seed)}


@given(IDS, st.integers(1, 50), SEEDS)
def test_a_sample_has_its_size_and_is_the_same_each_time(ids: list[str], size: int, seed: int) -> None:
    picked = chosen(ids, size, seed)
    assert len(picked) == min(size, len(ids))
    assert picked == chosen(ids, size, seed)


@given(IDS, st.integers(1, 50), SEEDS, st.integers())
def test_a_sample_does_not_hang_on_the_order_of_rows(
    ids: list[str], size: int, seed: int, order: int
) -> None:
    shuffled = list(ids)
    Random(order).shuffle(shuffled)
    assert chosen(shuffled, size, seed) == chosen(ids, size, seed)


@given(IDS, IDS, st.integers(1, 20), SEEDS)
def test_appended_rows_only_push_rows_out(ids: list[str], more: list[str], size: int, seed: int) -> None:
    new = [each for each in more if each not in ids]
    assert chosen(ids + new, size, seed) - set(new) <= chosen(ids, size, seed)


def test_seeds_choose_differently() -> None:
    ids = [str(i) for i in range(1000)]
    assert len({frozenset(chosen(ids, 10, seed)) for seed in range(20)}) == 20


def test_a_sample_is_spread_over_the_manifest() -> None:
    positions = sample(rows([str(i) for i in range(10_000)]), 1000, 7)
    quarters = [sum(1 for position in positions if position // 2500 == quarter) for quarter in range(4)]
    assert all(200 < count < 300 for count in quarters)


VALUES = st.lists(
    st.lists(st.none() | st.sampled_from(["", "a", "b", "\ud800", "None"]), max_size=8), max_size=6
)


@given(VALUES)
def test_the_first_of_each_value_is_kept_over_all_batches(batches: list[list[str | None]]) -> None:
    first, known = DistinctFilter(), set[str | None]()
    for batch in batches:
        expected = []
        for i, value in enumerate(batch):
            if value not in known:
                known.add(value)
                expected.append(i)
        assert first.offsets(batch) == expected
