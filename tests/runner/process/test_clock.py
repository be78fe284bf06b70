"""Seconds that pass only while the process runs."""

from __future__ import annotations

from runner.process.clock import CATCH_UP_S, GAP_S, SteadyClock


class Elapsed:
    """Seconds that pass whatever happens, as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_time_passes_as_long_as_somebody_looks() -> None:
    elapsed = Elapsed()
    clock = SteadyClock(elapsed)
    started = clock.time()
    for _ in range(10):
        elapsed.now += GAP_S
        clock.time()
    assert clock.time() - started == 10 * GAP_S
    assert not clock.woke_within(1e9)


def test_a_gap_does_not_count_and_what_has_come_meanwhile_gets_a_moment() -> None:
    elapsed = Elapsed()
    clock = SteadyClock(elapsed)
    before = clock.time()
    elapsed.now += 3600
    assert clock.time() == before
    elapsed.now += CATCH_UP_S
    assert clock.time() == before
    elapsed.now += 1.0
    assert clock.time() == before + 1.0


def test_every_gap_is_left_out() -> None:
    elapsed = Elapsed()
    clock = SteadyClock(elapsed)
    before = clock.time()
    for _ in range(5):
        elapsed.now += 60
        clock.time()
        elapsed.now += CATCH_UP_S + 0.25
        clock.time()
    assert clock.time() == before + 5 * 0.25


def test_it_tells_for_how_long_the_process_has_been_awake() -> None:
    elapsed = Elapsed()
    clock = SteadyClock(elapsed)
    assert not clock.woke_within(2.0)
    elapsed.now += 60
    assert clock.woke_within(2.0)
    elapsed.now += 1.0
    assert clock.woke_within(2.0)
    elapsed.now += 1.0
    assert not clock.woke_within(2.0)


def test_time_never_falls() -> None:
    elapsed = Elapsed()
    clock = SteadyClock(elapsed)
    seen = []
    for step in (0.5, 60.0, 0.1, 0.1, 60.0, 0.1, 1.4, 0.2):
        elapsed.now += step
        seen.append(clock.time())
    assert seen == sorted(seen)
