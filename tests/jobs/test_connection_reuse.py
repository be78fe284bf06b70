"""When a connection may be used again for a request that costs money."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.connection_reuse import LEFT_IDLE_S, MAX_IDLE_S, QUICK_S, ConnectionReuse

IDLE = LEFT_IDLE_S + 0.01


def left_idle() -> ConnectionReuse:
    """One connection was kept, and is idle since 1.0."""
    reuse = ConnectionReuse()
    assert reuse.allows(0.0)
    reuse.answered(1.0, 1.0, reuse_allowed=True, reused=False)
    return reuse


def trusted() -> ConnectionReuse:
    reuse = left_idle()
    assert reuse.allows(1.0 + IDLE)
    reuse.answered(2.0, 0.5, reuse_allowed=True, reused=True)
    return reuse


def test_one_connection_is_left_idle_and_used_once_before_any_is_kept() -> None:
    reuse = ConnectionReuse()
    assert [reuse.allows(0.0) for _ in range(3)] == [True, False, False]
    reuse.answered(0.5, 0.5, reuse_allowed=False, reused=False)
    assert not reuse.allows(0.5)
    reuse.answered(1.0, 1.0, reuse_allowed=True, reused=False)
    assert not reuse.allows(1.0 + LEFT_IDLE_S / 2)
    assert [reuse.allows(1.0 + IDLE) for _ in range(3)] == [True, False, False]
    reuse.answered(2.0, 0.5, reuse_allowed=True, reused=True)
    assert [reuse.allows(2.0) for _ in range(3)] == [True, True, True]


def test_a_server_that_did_not_keep_it_is_not_asked_again() -> None:
    reuse = left_idle()
    assert reuse.allows(1.0 + IDLE)
    reuse.answered(2.0, 0.5, reuse_allowed=True, reused=False)
    assert not any(reuse.allows(float(now)) for now in range(2, 100))


def test_a_connection_that_grew_old_meanwhile_is_tried_with_another() -> None:
    reuse = left_idle()
    assert reuse.allows(1.0 + MAX_IDLE_S)
    reuse.answered(3.0, 0.5, reuse_allowed=True, reused=False)
    assert reuse.allows(3.0 + IDLE)
    reuse.answered(4.0, 0.5, reuse_allowed=True, reused=True)
    assert reuse.allows(4.0)


def test_slow_answers_get_fresh_connections() -> None:
    reuse = trusted()
    reuse.answered(10.0, QUICK_S + 1, reuse_allowed=True, reused=True)
    assert not reuse.allows(10.0)
    reuse.answered(20.0, QUICK_S, reuse_allowed=False, reused=False)
    assert reuse.allows(20.0)


@pytest.mark.parametrize("reuse_allowed", [True, False])
def test_whoever_breaks_off_a_kept_connection_gets_fresh_ones(reuse_allowed: bool) -> None:
    reuse = trusted()
    reuse.broke(reuse_allowed=reuse_allowed)
    reuse.answered(3.0, 0.5, reuse_allowed=reuse_allowed, reused=reuse_allowed)
    assert reuse.allows(3.0) is not reuse_allowed


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3), st.booleans(), st.booleans()), max_size=40))
def test_no_two_are_out_on_kept_connections_before_one_was_reused(
    steps: list[tuple[bool, float, bool, bool]],
) -> None:
    """steps: whether one is sent or answered, after how long, whether it broke, whether it was reused."""
    reuse, now, out, proven = ConnectionReuse(), 0.0, 0, False
    for sends, wait, broke, reused in steps:
        now += wait
        if sends:
            if reuse.allows(now):
                assert not out or proven
                out += 1
        elif out:
            out -= 1
            if broke:
                reuse.broke(reuse_allowed=True)
                proven = False
            else:
                reuse.answered(now, wait, reuse_allowed=True, reused=reused)
                proven |= reused


def test_bytes_that_nobody_asked_for_end_the_reuse_for_good() -> None:
    reuse = trusted()
    assert reuse.allows(2.0)
    reuse.unasked()
    reuse.answered(3.0, 0.5, reuse_allowed=True, reused=True)
    assert not any(reuse.allows(float(now)) for now in range(3, 100))
