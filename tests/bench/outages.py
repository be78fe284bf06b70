"""A service that is down for five minutes, time scaled: what it costs in requests, and how the run ends."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.figures import Figure, at_least, at_most, load
from tests.bench.runs import bench, summary

ROWS = 1500
BEFORE_S, DOWN_S = 5, 15
EXIT_SERVICE_DOWN = 5
KINDS = ("server_error", "overloaded", "rate_limit_no_hint")


def outages() -> Iterable[Figure]:
    """The service comes back; each kind of total outage."""
    return (figure for kind in KINDS for figure in _comes_back(kind))


def stays_down() -> list[Figure]:
    """The service stays down: exit 5 after --give-up."""
    scenario = _scenario("server_error", 3600)
    with bench(scenario) as at:
        ended = at.run(at.manifest([1] * ROWS), "--give-up", "10s", "--rpm", "3000")
        stats = at.stats()
    name = "stays down"
    sent = len(stats["by_prompt"])
    return [
        at_least(f"{name}: exit 5", float(ended.code == EXIT_SERVICE_DOWN), 1),
        at_most(f"{name}: requests / rows sent", stats["requests"] / sent, 1.1, f"{sent} of {ROWS} rows"),
        at_most(f"{name}: seconds", summary(ended)["duration_s"], BEFORE_S + 10 + 10),
    ]


def _scenario(kind: str, seconds: float) -> str:
    outage = f"[[outage]]\nafter = {BEFORE_S}\nseconds = {seconds}\nkind = '{kind}'\n"
    return f"latency = {{ median = 0.2 }}\n{outage}"


def _comes_back(kind: str) -> list[Figure]:
    with bench(_scenario(kind, DOWN_S)) as at:
        ended = at.run(at.manifest([1] * ROWS), "--rpm", "3000")
        stats = at.stats()
    assert ended.code in (0, 3, EXIT_SERVICE_DOWN), ended.err + ended.out
    told, name = summary(ended), f"out for {DOWN_S} s, {kind}"
    succeeded = told["by_status"].get("succeeded", 0)
    rows = len(stats["by_prompt"])
    busy = f"{sum(stats['faults'].values())} refused, {told['duration_s']:.0f} s, {load()}"
    return [
        at_most(f"{name}: requests / rows", stats["requests"] / rows, 1.1, busy),
        at_least(f"{name}: rows that succeed", succeeded / ROWS, 1.0, f"exit {ended.code}"),
    ]
