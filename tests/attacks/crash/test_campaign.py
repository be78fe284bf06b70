"""Kills, signals and pairs of runners in the numbers that every run of the suite can afford.

More by hand: `python -m tests.attacks.crash --kills 10000 --sigterm 100 --two-runners 100`.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.workspace import lock
from tests.attacks.crash import campaign, ext4, pairs, stops
from tests.attacks.crash.campaign import Aim
from tests.attacks.crash.forkserver import ForkServer
from tests.attacks.crash.jobs import HANG_S, Ground, Job
from tests.attacks.crash.points import POINTS
from tests.attacks.crash.witness import Witness

SEED = 20261122


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    work, logs = tmp_path_factory.mktemp("crash"), tmp_path_factory.mktemp("crash-logs")
    with ForkServer() as server, Witness(logs / "journal.jsonl") as witness:
        yield Ground(work, logs, server, witness)


def test_every_named_point_is_passed_by_a_plain_run(ground: Ground) -> None:
    job = Job(ground, "points", campaign.chance_of(SEED, 0), count=40)
    assert job.start({}).wait(HANG_S) == 3
    last, passed = job.moments()
    assert last == ""
    assert [label for label in POINTS if label not in passed] == []


@pytest.mark.parametrize("label", ["intent: after commit", "image: after rename", "outcome: before commit"])
def test_a_trap_kills_at_its_point(ground: Ground, label: str) -> None:
    job = Job(ground, f"trap-{label.split(':')[0]}", campaign.chance_of(SEED, 1), count=12)
    assert job.start({label: 2, "concluding": 1}).wait(HANG_S) == -9
    last, passed = job.moments()
    assert (last, passed[label]) == (label, 2)


def test_kills(ground: Ground) -> None:
    tally = campaign.run(ground, 100, seed=SEED, aim=Aim(real=0.02, troubles=0.2), parallel=2)
    assert tally.violations == []
    assert tally.total >= 100


def test_sigterm_parks_nothing(ground: Ground) -> None:
    assert stops.drained(ground, 10, SEED).violations == []


def test_a_second_signal_parks_what_is_in_flight_and_nothing_else(ground: Ground) -> None:
    stopped = stops.cut(ground, 3, SEED)
    assert stopped.violations == []
    assert stopped.slowest_s < 30


def test_of_two_runners_one_sends(ground: Ground) -> None:
    assert pairs.together(ground, 6, SEED).violations == []


def test_a_look_at_a_folder_turns_no_runner_away(tmp_path: Path) -> None:
    look = os.open(tmp_path / lock.LOCK_NAME, os.O_RDONLY | os.O_CREAT)
    fcntl.flock(look, fcntl.LOCK_SH)
    threading.Timer(0.05, os.close, (look,)).start()
    with lock.folder_lock(tmp_path, wait_s=0):
        pass


@pytest.mark.campaign
def test_a_power_cut_of_a_real_file_system_loses_nothing_acknowledged(ground: Ground, tmp_path: Path) -> None:
    try:
        with ext4.disk(tmp_path) as disk:
            there = dataclasses.replace(ground, work=disk.top)
            assert ext4.attack(there, disk, 8, SEED).violations == []
            assert ext4.outlive(there, disk, 3, SEED).violations == []
    except ext4.NotHere as reason:
        pytest.skip(str(reason))


@pytest.mark.campaign
def test_many(ground: Ground) -> None:
    tally = campaign.run(ground, 10_000, seed=SEED + 1, aim=Aim(real=0.01), parallel=2)
    assert tally.violations == []
    assert [label for label in POINTS if not tally.kills[label]] == []
    assert stops.drained(ground, 100, SEED).violations == []
    assert pairs.together(ground, 100, SEED).violations == []
