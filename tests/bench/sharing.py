"""Two runs that share one allowance: together they use it, and never more."""

from __future__ import annotations

import time

from tests.bench.figures import Figure, at_least, at_most, load
from tests.bench.runs import bench

LIMIT = 50
ROWS = 1000
SHARE = ("--rpm", str(LIMIT), "--set", "limits.window_s=1", "--set", "limits.share=together")


def shared() -> list[Figure]:
    """Two processes, 50 requests a second together; counted while both are running."""
    scenario = f"latency = {{ median = 0.2 }}\nlimits = {{ rpm = {LIMIT}, window_s = 1, announced = false }}"
    with bench(scenario) as at:
        key = {"IMAGEMILL_API_KEY": "any"}
        runs = [
            at.command.start("run", *at.options(at.manifest([1] * ROWS, name), *SHARE, out=name), environ=key)
            for name in ("one", "other")
        ]
        while all(run.poll() is None for run in runs):
            time.sleep(0.1)
        both = at.stats()
        for run in runs:
            run.communicate(timeout=120)
        stats = at.stats()
    assert [run.returncode for run in runs] == [0, 0]

    return [
        at_most("two runs, one allowance: refusals", stats["refused"], 0),
        at_most("two runs, one allowance: worst window / limit", stats["worst_window_arrivals"] / LIMIT, 1.0),
        at_least(
            "two runs, one allowance: achieved",
            (both["billed_requests"] - 1) / both["admitting_s"] / LIMIT,
            0.95,
            f"until one ended; {load()}",
        ),
    ]
