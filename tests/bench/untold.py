"""A limit that is neither told nor announced: found, lost when it is halved, and found again when it returns."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.figures import Figure, at_least, at_most, load
from tests.bench.runs import Look, bench

LIMIT = 100
STEADY_S = 90
HALVED_AT_S, RESTORED_AT_S, END_S = 60, 120, 180
HIDDEN = f"limits = {{ rpm = {LIMIT}, window_s = 1, announced = false }}"
QUICK = "latency = { median = 0.2 }"
SPAN_S = 5.0
"""Capacity counts as used when 0.95 of it is, over so many seconds."""

Capacity = Callable[[float], float]


def steady() -> list[Figure]:
    """One limit all along."""
    looks = _run(HIDDEN, STEADY_S)
    name = f"{LIMIT}/s untold"
    return [*_whole(name, looks, lambda _at: LIMIT, STEADY_S)]


def halved() -> list[Figure]:
    """Halved after a third of the run, restored after two."""
    changes = (
        f"[[limits_change]]\nafter = {HALVED_AT_S}\nrpm = {LIMIT // 2}\n"
        f"[[limits_change]]\nafter = {RESTORED_AT_S}\nrpm = {LIMIT}\n"
    )
    looks = _run(f"{HIDDEN}\n{changes}", END_S)

    def capacity(at: float) -> float:
        return LIMIT / 2 if HALVED_AT_S <= at < RESTORED_AT_S else LIMIT

    name = f"{LIMIT}/s untold, halved and restored"
    return [
        *_whole(name, looks, capacity, END_S),
        at_most(f"{name}: halved, found in s", _found_in_s(looks, HALVED_AT_S, LIMIT / 2), 30),
        at_most(f"{name}: restored, found in s", _found_in_s(looks, RESTORED_AT_S, LIMIT), 30, load()),
    ]


def _run(scenario: str, seconds: float) -> list[Look]:
    """The service's account over a run that goes on for longer; times count from the first request."""
    with bench(f"{QUICK}\n{scenario}") as at, at.watched() as looks:
        ended = at.run(at.manifest([1] * int(LIMIT * seconds * 1.2)), "--max-duration", f"{seconds + 3}s")
        assert ended.code == 10, ended.err
    begun = next(look.at for look in looks if look.admitted or look.refused)
    return [Look(look.at - begun, look.admitted, look.refused) for look in looks if look.at >= begun]


def _whole(name: str, looks: list[Look], capacity: Capacity, seconds: float) -> list[Figure]:
    last = max((look for look in looks if look.at <= seconds), key=lambda look: look.at)
    allowed = sum(capacity(i / 10) / 10 for i in range(int(last.at * 10)))
    refused = last.refused / (last.admitted + last.refused)
    return [
        at_least(f"{name}: share of capacity", last.admitted / allowed, 0.95, load()),
        at_most(f"{name}: share refused", refused, 0.01),
    ]


def _found_in_s(looks: list[Look], changed: float, capacity: float) -> float:
    """Seconds after a change until 0.95 of the capacity is used over `SPAN_S`."""
    for i, first in enumerate(looks):
        later = next((look for look in looks[i:] if look.at >= first.at + SPAN_S), None)
        if first.at < changed or later is None:
            continue
        if later.admitted - first.admitted >= 0.95 * capacity * (later.at - first.at):
            return first.at - changed
    return float("inf")
