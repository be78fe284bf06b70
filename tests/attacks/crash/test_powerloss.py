"""Power cuts: the model of the disk finds each mistake it is there for, and finds none in imagemill's order of writes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.attacks.crash import tracing
from tests.attacks.crash.disk import Disk
from tests.attacks.crash.powerloss import SCENARIOS, Scenario, prove
from tests.attacks.crash.tracing import Op

CREATED = Op("openat", ("/r/t",), created=True)
WRITTEN = Op("write", ("/r/t",), b"whole")
SYNCED = Op("fsync", ("/r/t",))
RENAMED = Op("rename", ("/r/t", "/r/f"))
FOLDER_SYNCED = Op("fsync", ("/r",))


def left_by(*ops: Op) -> list[dict[str, bytes]]:
    disk = Disk("/r")
    for op in ops:
        disk.apply(op)
    return [disk.state(kept) for kept in disk.choices(random.Random(0))]


def test_what_was_saved_in_order_is_there_in_every_state() -> None:
    states = left_by(CREATED, WRITTEN, SYNCED, RENAMED, FOLDER_SYNCED)
    assert states == [{"f": b"whole"}]


def test_a_file_that_was_not_synced_may_be_empty_under_its_final_name() -> None:
    assert {"f": b""} in left_by(CREATED, WRITTEN, RENAMED, FOLDER_SYNCED)


def test_a_name_that_was_not_synced_may_be_missing() -> None:
    states = left_by(CREATED, WRITTEN, SYNCED, RENAMED)
    assert {} in states
    assert {"f": b"whole"} in states
    assert all(data == b"whole" for state in states for data in state.values())


def test_a_replaced_file_is_the_old_or_the_new_one() -> None:
    again = (CREATED, Op("write", ("/r/t",), b"other"), SYNCED, RENAMED)
    states = left_by(CREATED, WRITTEN, SYNCED, RENAMED, FOLDER_SYNCED, *again)
    assert {state["f"] for state in states} == {b"whole", b"other"}


def test_a_folder_whose_name_was_not_synced_may_be_lost_with_all_in_it() -> None:
    made = Op("mkdir", ("/r/d",))
    inside = (Op("openat", ("/r/d/t",), created=True), Op("fsync", ("/r/d",)))
    assert {} in left_by(made, *inside)
    assert {} not in left_by(made, FOLDER_SYNCED, *inside)


def test_a_long_write_may_be_torn_at_a_sector() -> None:
    long = Op("pwrite64", ("/r/t",), b"a" * 2048, (2048, 0))
    contents = {state["t"] for state in left_by(CREATED, FOLDER_SYNCED, SYNCED, long)}
    assert contents == {b"", b"a" * 1024, bytes(1024) + b"a" * 1024, b"a" * 2048}


def test_writes_may_arrive_in_any_order() -> None:
    first, second = (Op("pwrite64", ("/r/t",), text, (1, at)) for text, at in ((b"1", 0), (b"2", 1)))
    contents = {state["t"] for state in left_by(CREATED, FOLDER_SYNCED, first, second)}
    assert contents == {b"", b"1", b"\x002", b"12"}


def test_a_call_without_a_model_is_an_error() -> None:
    with pytest.raises(ValueError, match="not modelled"):
        left_by(CREATED, Op("copy_file_range", ("/r/t", "/r/t")))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_power_cut_breaks_a_guarantee(scenario: Scenario, tmp_path: Path) -> None:
    if (reason := tracing.unavailable()) is not None:
        pytest.skip(reason)
    proof = prove(tmp_path, scenario)
    assert proof.violations == {}
    assert proof.states > 1000
