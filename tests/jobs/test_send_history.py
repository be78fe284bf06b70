"""What is remembered of requests that were sent: enough for a limit that is heard of later, in little memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.send_history import SendHistory, Weight

SPAN_S = 60.0
STEP_S = 0.01
WEIGHTS = st.tuples(st.integers(1, 10), st.floats(0, 1e5)).map(lambda taken: Weight(*taken))


@given(st.lists(st.tuples(st.floats(0, 5), WEIGHTS), max_size=60), st.sampled_from([0.001, 0.1, 1.0]))
def test_each_request_counts_from_its_moment_or_a_step_later(
    sent: list[tuple[float, Weight]], scale: float
) -> None:
    sends, moments, now = SendHistory(SPAN_S), [], 100.0
    for pause, weight in sent:
        now += pause * scale
        sends.add(now, weight)
        moments.append(now)
    told = list(sends.amounts("requests"))
    young = moments[len(moments) - len(told) :]
    assert all(moment < now - SPAN_S for moment in moments[: len(moments) - len(told)])
    assert all(moment <= at < moment + STEP_S for moment, (at, _) in zip(young, told, strict=True))
    assert {amount for _, amount in told} <= {1.0}
    weights = [weight for _, weight in sent[len(moments) - len(told) :]]
    for unit in ("images", "tokens"):
        amounts = [amount for _, amount in sends.amounts(unit)]
        assert sum(amounts) == pytest.approx(sum(weight.amount_of(unit) for weight in weights))


def test_what_many_requests_take_is_remembered_in_few_steps() -> None:
    sends = SendHistory(SPAN_S)
    for number in range(300_000):
        sends.add(number / 1000, Weight(1, 10.0))
    assert len(sends) < 7000
    assert 60_000 <= len(list(sends.amounts("images"))) < 67_000


def test_requests_after_a_moment_are_counted() -> None:
    sends = SendHistory(SPAN_S)
    for at in (0.0, 0.5, 1.0, 1.001, 1.5):
        sends.add(at, Weight(2, 0.0))
    assert [sends.since(moment) for moment in (-1.0, 0.0, 0.5, 1.0, 1.5)] == [5, 4, 3, 3, 0]


def test_a_long_window_has_longer_steps_but_none_that_matter() -> None:
    sends = SendHistory(3600.0)
    sends.add(0.0, Weight(1, 0.0))
    sends.add(0.04, Weight(1, 0.0))
    sends.add(0.06, Weight(1, 0.0))
    assert list(sends.amounts("requests")) == [(0.04, 1.0), (0.04, 1.0), (0.06, 1.0)]
