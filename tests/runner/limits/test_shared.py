"""One allowance for several runs: each sees what the others sent, and nobody needs to be in charge."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from runner.limits.shared import SharedLog
from runner.process.state_folder import state_folder
from schemas.errors import JobError

WINDOW_S = 0.2


def log(folder: Path, limit: float = 3, window_s: float = WINDOW_S) -> SharedLog:
    """limit: of a window."""
    return SharedLog(folder / "shared.sqlite", {"requests": limit * 60 / window_s}, window_s)


def fits(shared: SharedLog, amount: float = 1) -> bool:
    """Whether it may be sent now; recorded if so."""
    return not isinstance(shared._try({"requests": amount}, time.time()), float)


def test_what_one_sends_the_other_sees(tmp_path: Path) -> None:
    one, other = log(tmp_path, window_s=60), log(tmp_path, window_s=60)
    assert [fits(one), fits(other), fits(one)] == [True, True, True]
    assert not fits(other)
    assert not fits(one)


def test_two_together_never_hold_more_than_the_limit_in_any_window(tmp_path: Path) -> None:
    sent: list[float] = []

    async def send(shared: SharedLog) -> None:
        for _ in range(8):
            recorded = await shared.acquire({"requests": 1})
            recorded.leave()
            sent.append(time.time())

    async def both() -> None:
        await asyncio.gather(send(log(tmp_path)), send(log(tmp_path)))

    asyncio.run(both())
    assert len(sent) == 16
    assert max(sum(start <= at < start + WINDOW_S for at in sent) for start in sent) <= 3


def test_a_request_counts_from_when_it_leaves(tmp_path: Path) -> None:
    shared = log(tmp_path, limit=1, window_s=60)
    before = time.time() - 59
    recorded = shared._try({"requests": 1}, before)
    assert not isinstance(recorded, float)
    recorded.leave()
    found = shared._try({"requests": 1}, time.time())
    assert isinstance(found, float)
    assert found > 59


@pytest.mark.parametrize("leaves", [True, False])
def test_a_request_that_opens_its_connection_for_long_counts_meanwhile(tmp_path: Path, leaves: bool) -> None:
    one, other = log(tmp_path, limit=1, window_s=2), log(tmp_path, limit=1, window_s=2)
    place = one._try({"requests": 1}, time.time() - 9)
    assert not isinstance(place, float)
    assert not fits(other)
    if leaves:
        place.leave()
    else:
        place.give_back()
    assert fits(other) is not leaves


def test_a_killed_run_opens_no_connection(tmp_path: Path) -> None:
    gone = log(tmp_path, limit=1, window_s=2)
    assert not isinstance(gone._try({"requests": 1}, time.time() - 31), float)
    assert fits(log(tmp_path, limit=1, window_s=2))


def test_a_request_heavier_than_the_limit_fills_several_windows_for_everybody(tmp_path: Path) -> None:
    one, other = log(tmp_path, limit=4, window_s=60), log(tmp_path, limit=4, window_s=60)
    assert fits(one, 10)
    wait = other._try({"requests": 1}, time.time())
    assert isinstance(wait, float)
    assert 170 < wait <= 181


def test_a_killed_runs_records_go_with_time(tmp_path: Path) -> None:
    gone = log(tmp_path, limit=2, window_s=60)
    assert gone._try({"requests": 2}, time.time() - 61) != 0.0
    del gone
    assert fits(log(tmp_path, limit=2, window_s=60), 2)


def test_a_clock_that_was_set_back_does_not_block_for_ever(tmp_path: Path) -> None:
    shared = log(tmp_path, limit=1, window_s=60)
    assert not isinstance(shared._try({"requests": 1}, time.time() + 1e6), float)
    assert fits(shared)


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b", "x" * 65])
def test_names_that_are_no_plain_words(name: str) -> None:
    with pytest.raises(JobError, match="plain name"):
        SharedLog.named(name, {"requests": 1}, 60)


def test_there_must_be_something_to_share() -> None:
    with pytest.raises(JobError, match="nothing to share"):
        SharedLog.named("together", {}, 60)


def test_it_is_kept_in_the_users_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    SharedLog.named("together", {"requests": 1}, 60)
    assert state_folder() == tmp_path / "imagemill"
    assert (tmp_path / "imagemill" / "together.sqlite").exists()
