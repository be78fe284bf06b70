"""What `plan` says beforehand, against the same job really run on the simulator; then its second half, resumed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, at_most, load
from tests.bench.runs import mixed
from tests.support.commandline import CommandLine

WITHIN = 0.10
WINDOW = ("--set", "limits.window_s=4")
JOBS: dict[str, tuple[list[int], tuple[str, ...]]] = {
    "rpm": ([1] * 300, ("--rpm", "900", *WINDOW)),
    "ipm": (mixed(60, 3), ("--ipm", "900", *WINDOW)),
    "concurrency": ([1] * 300, ("--concurrency", "4", "--set", "simulator.latency=0.4")),
}


def forecasts() -> Iterable[Figure]:
    """Jobs bound by requests, by images and by concurrency."""
    return (figure for name in JOBS for figure in _forecast(name))


def _forecast(name: str) -> list[Figure]:
    images, options = JOBS[name]
    with tempfile.TemporaryDirectory(prefix="imagemill-bench-") as temporary:
        command = CommandLine(Path(temporary))
        rows = [f"picture {number},{n}" for number, n in enumerate(images)]
        (command.cwd / "prompts.csv").write_text("\n".join(["prompt,n", *rows]) + "\n")
        whole = _compared(command, f"{name}-bound", (*options, "--out", "whole"))
        half = (*options, "--out", "halves")
        _json(command, "run", (*half, "--max-requests", str(len(images) // 2)))
        return whole + _compared(command, f"{name}-bound, resumed half", half)


def _json(command: CommandLine, verb: str, options: tuple[str, ...]) -> dict[str, Any]:
    fixed = ("prompts.csv", "--simulate", "--size", "64x64", "--quality", "high", "--json")
    return command(verb, *fixed, *options).json


def _compared(command: CommandLine, name: str, options: tuple[str, ...]) -> list[Figure]:
    planned = _json(command, "plan", options)
    earlier = command.cwd / options[-1] / "summary.json"
    before = json.loads(earlier.read_text())["cost_usd"] if earlier.exists() else 0.0
    told = _json(command, "run", options)
    cost, took = told["cost_usd"] - before, told["duration_s"]
    low, high = planned["cost_usd"]["low"], planned["cost_usd"]["high"]
    by = f"planned {planned['duration_s']:.1f} s by {planned['binding_limit']}, took {took:.1f} s, {load()}"
    return [
        at_most(f"{name}: time, off by", abs(planned["duration_s"] - took) / took, WITHIN, by),
        at_most(
            f"{name}: cost, low off by", abs(low - cost) / cost, WITHIN, f"{low} to {high}, was {cost:.4f}"
        ),
        at_most(f"{name}: cost, high off by", abs(high - cost) / cost, WITHIN),
    ]
