"""What becomes of the rows of an edited manifest: every row and every item is of one class, and nothing held is sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.manifest_diff import (
    NONE,
    Comparison,
    Fate,
    KnownIds,
    OnChange,
    counts_as_held,
    differences,
    edited_text,
    fate,
    warnings,
    with_remainder,
)
from schemas.failures import RowStatus
from schemas.manifest_diff import EditedRow, FieldChange, ManifestChanges
from schemas.request import ImageRequest

IDS = st.integers(0, 12)
MANIFESTS = st.dictionaries(IDS, st.integers(0, 2), max_size=12)
"""Row id -> what the row asks for."""
POLICIES = st.sampled_from(["stop", "keep", "regenerate"])
ASKED = ImageRequest("a red fox", (("size", "1024x1024"), ("n", 2)))


@dataclass
class Told:
    """A manifest's rows by class, and the ids that it lacks."""

    unchanged: set[int]
    edited: dict[int, int]
    new: set[int]
    removed: set[int]


def compared(
    ledger: list[tuple[int, int]], manifest: dict[int, int], *, recent_from: int | None = None
) -> Told:
    """ledger: id and content of each item, in the order of sending. edited: id -> item of the earlier version.

    recent_from: earlier versions are looked for among the items from this one on.
    """
    keys = np.array([each for each, _ in ledger], dtype=np.uint64)
    items = {row: item for item, row in enumerate(ledger)}
    recent = None
    if recent_from is not None:
        recent = KnownIds(np.arange(recent_from, len(ledger)), keys[recent_from:])
    comparison = Comparison(len(ledger), lambda: KnownIds(np.arange(len(ledger)), keys), recent=recent)
    told = Told(set(), {}, set(), set())
    rows = list(manifest.items())
    for batch in (rows[start : start + 3] for start in range(0, len(rows), 3)):
        found = np.array([items.get(row, NONE) for row in batch], dtype=np.int64)
        unknown = comparison.unknown(found).tolist()
        told.unchanged |= {row_id for at, (row_id, _) in enumerate(batch) if at not in unknown}
        earlier = comparison.earlier(np.array([batch[at][0] for at in unknown], dtype=np.uint64)).tolist()
        for at, item in zip(unknown, earlier, strict=True):
            if item == NONE:
                told.new.add(batch[at][0])
            else:
                told.edited[batch[at][0]] = item
    told.removed = {ledger[item][0] for item in comparison.removed().tolist()}
    return told


@given(st.lists(MANIFESTS, max_size=4), MANIFESTS)
def test_every_row_and_every_item_is_of_one_class(earlier: list[dict[int, int]], now: dict[int, int]) -> None:
    ledger = list(dict.fromkeys(row for manifest in earlier for row in manifest.items()))
    told = compared(ledger, now)
    ids = {row_id for row_id, _ in ledger}
    assert told.unchanged == {row_id for row_id, content in now.items() if (row_id, content) in ledger}
    assert told.new == {*now} - ids
    assert {*told.edited} == ({*now} & ids) - told.unchanged
    assert told.removed == ids - {*now}
    newest = {row_id: item for item, (row_id, _) in enumerate(ledger)}
    assert all(item == newest[row_id] for row_id, item in told.edited.items())


@given(st.lists(MANIFESTS, max_size=4), MANIFESTS, st.integers(0, 20))
def test_rows_are_removed_whatever_is_looked_at_for_earlier_versions(
    earlier: list[dict[int, int]], now: dict[int, int], first: int
) -> None:
    ledger = list(dict.fromkeys(row for manifest in earlier for row in manifest.items()))
    every, few = compared(ledger, now), compared(ledger, now, recent_from=min(first, len(ledger)))
    assert (few.removed, few.unchanged) == (every.removed, every.unchanged)
    assert {*few.edited.items()} == {(i, item) for i, item in every.edited.items() if item >= first}


@given(st.lists(st.tuples(MANIFESTS, POLICIES), max_size=6), st.data())
def test_nothing_that_is_held_is_sent_over_any_edits_but_by_name(
    runs: list[tuple[dict[int, int], OnChange]], data: st.DataObject
) -> None:
    ledger: list[tuple[int, int]] = []
    statuses: list[RowStatus] = []
    for manifest, policy in runs:
        told = compared(ledger, manifest)
        fates = {
            row_id: fate(policy, same=False, is_held=counts_as_held(statuses[item], polled=False))
            for row_id, item in told.edited.items()
        }
        if Fate.REFUSED in fates.values():
            assert policy == "stop"
            continue
        sent = told.new | {row_id for row_id, end in fates.items() if end is Fate.SENT}
        for row_id in sent:
            item = told.edited.get(row_id)
            done = item is not None and statuses[item] in (RowStatus.SUCCEEDED, RowStatus.PARKED)
            assert not done or policy == "regenerate"
            assert (row_id, manifest[row_id]) not in ledger
            ledger.append((row_id, manifest[row_id]))
            statuses.append(
                data.draw(st.sampled_from([status for status in RowStatus if status != "invalid"]))
            )


def test_an_item_that_no_row_is_but_whose_id_is_there_is_not_removed() -> None:
    comparison = Comparison(3, lambda: KnownIds(np.arange(3), np.array([7, 8, 7], dtype=np.uint64)))
    comparison.earlier(np.array([7], dtype=np.uint64))
    assert comparison.removed().tolist() == [1]


def test_what_is_done_is_in_the_manifest_though_it_is_not_looked_at() -> None:
    known = KnownIds(np.arange(3), np.array([7, 8, 9], dtype=np.uint64))
    comparison = Comparison(3, lambda: known, np.array([True, False, True, False, False]))
    assert comparison.removed().tolist() == [1]


@pytest.mark.parametrize("polled", [False, True])
@pytest.mark.parametrize("status", [RowStatus.FAILED, RowStatus.PENDING])
@pytest.mark.parametrize("policy", ["stop", "keep"])
def test_a_row_without_an_image_is_sent_unless_its_task_goes_on(
    policy: OnChange, status: RowStatus, polled: bool
) -> None:
    sent = fate(policy, same=False, is_held=counts_as_held(status, polled=polled)) is Fate.SENT
    assert sent is not polled


def test_the_same_request_is_no_edit_whatever_the_policy() -> None:
    assert differences("a red fox", {"n": 2, "size": "1024x1024"}, ASKED) == ()
    policies: list[OnChange] = ["stop", "keep", "regenerate"]
    assert {fate(policy, same=True, is_held=True) for policy in policies} == {Fate.SAME}


def test_differences_name_each_field() -> None:
    assert differences("a fox", {"n": 2, "seed": 3}, ASKED) == (
        FieldChange("prompt", "a fox", "a red fox"),
        FieldChange("size", None, "1024x1024"),
        FieldChange("seed", "3", None),
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (FieldChange("size", "1024x1024", None), "size: 1024x1024 -> (default)"),
        (FieldChange("prompt", "a fox", 'a "red"\nfox'), "prompt: 'a fox' -> 'a \"red\"\\nfox'"),
        (
            FieldChange("prompt", "x" * 100 + "old", "x" * 100 + "new" + "y" * 90),
            f"prompt: '…{'x' * 20}old' -> '…{'x' * 20}new{'y' * 37}…'",
        ),
        (FieldChange("prompt", "x" * 70, "x" * 71), f"prompt: '…{'x' * 20}' -> '…{'x' * 21}'"),
    ],
)
def test_an_edit_is_told_on_one_line_where_the_texts_part(change: FieldChange, text: str) -> None:
    assert edited_text(EditedRow("sku-1", True, (change,))) == f"sku-1   {text}"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (ManifestChanges(edited=3), "every row looks different"),
        (ManifestChanges(new=3, removed=2), "no row of this manifest is among the 2 rows"),
        (ManifestChanges(new=3, edited=1, removed=2), "no row of this manifest is among the 3 rows"),
        (ManifestChanges(edited=1), ""),
        (ManifestChanges(edited=3, unchanged=1), ""),
        (ManifestChanges(new=3, removed=1), ""),
    ],
)
def test_a_manifest_of_which_nothing_is_known_is_suspicious(changes: ManifestChanges, told: str) -> None:
    assert [text[: len(told)] for text in warnings(changes, whole=True)] == ([told] if told else [])
    assert list(warnings(changes, whole=False)) == []


def test_long_lists_are_cut() -> None:
    assert with_remainder(["a", "b"], 2) == ["a", "b"]
    assert with_remainder(["a", "b"], 1_002) == ["a", "b", "… and 1,000 more"]
