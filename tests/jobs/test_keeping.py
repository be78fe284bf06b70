"""When a connection may be used again for a request that costs money."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.keeping import LEFT_IDLE_S, QUICK_S, YOUNG_S, Keeping

IDLE = LEFT_IDLE_S + 0.01


def left_idle() -> Keeping:
    """One connection was kept, and is idle since 1.0."""
    keeping = Keeping()
    assert keeping.allows(0.0)
    keeping.answered(1.0, 1.0, kept=True, reused=False)
    return keeping


def trusted() -> Keeping:
    keeping = left_idle()
    assert keeping.allows(1.0 + IDLE)
    keeping.answered(2.0, 0.5, kept=True, reused=True)
    return keeping


def test_one_connection_is_left_idle_and_used_once_before_any_is_kept() -> None:
    keeping = Keeping()
    assert [keeping.allows(0.0) for _ in range(3)] == [True, False, False]
    keeping.answered(0.5, 0.5, kept=False, reused=False)
    assert not keeping.allows(0.5)
    keeping.answered(1.0, 1.0, kept=True, reused=False)
    assert not keeping.allows(1.0 + LEFT_IDLE_S / 2)
    assert [keeping.allows(1.0 + IDLE) for _ in range(3)] == [True, False, False]
    keeping.answered(2.0, 0.5, kept=True, reused=True)
    assert [keeping.allows(2.0) for _ in range(3)] == [True, True, True]


def test_a_server_that_did_not_keep_it_is_not_asked_again() -> None:
    keeping = left_idle()
    assert keeping.allows(1.0 + IDLE)
    keeping.answered(2.0, 0.5, kept=True, reused=False)
    assert not any(keeping.allows(float(now)) for now in range(2, 100))


def test_a_connection_that_grew_old_meanwhile_is_tried_with_another() -> None:
    keeping = left_idle()
    assert keeping.allows(1.0 + YOUNG_S)
    keeping.answered(3.0, 0.5, kept=True, reused=False)
    assert keeping.allows(3.0 + IDLE)
    keeping.answered(4.0, 0.5, kept=True, reused=True)
    assert keeping.allows(4.0)


def test_slow_answers_get_fresh_connections() -> None:
    keeping = trusted()
    keeping.answered(10.0, QUICK_S + 1, kept=True, reused=True)
    assert not keeping.allows(10.0)
    keeping.answered(20.0, QUICK_S, kept=False, reused=False)
    assert keeping.allows(20.0)


@pytest.mark.parametrize("kept", [True, False])
def test_whoever_breaks_off_a_kept_connection_gets_fresh_ones(kept: bool) -> None:
    keeping = trusted()
    keeping.broke(kept=kept)
    keeping.answered(3.0, 0.5, kept=kept, reused=kept)
    assert keeping.allows(3.0) is not kept


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3), st.booleans(), st.booleans()), max_size=40))
def test_no_two_are_out_on_kept_connections_before_one_was_reused(
    steps: list[tuple[bool, float, bool, bool]],
) -> None:
    """steps: whether one is sent or answered, after how long, whether it broke, whether it was reused."""
    keeping, now, out, proven = Keeping(), 0.0, 0, False
    for sends, wait, broke, reused in steps:
        now += wait
        if sends:
            if keeping.allows(now):
                assert not out or proven
                out += 1
        elif out:
            out -= 1
            if broke:
                keeping.broke(kept=True)
                proven = False
            else:
                keeping.answered(now, wait, kept=True, reused=reused)
                proven |= reused
