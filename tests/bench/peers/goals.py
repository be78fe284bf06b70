"""What issue 6 asks to be reached, line by line, and the printing of what was."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """floor and aim in the same unit. at_most: whether less is better."""

    text: str
    floor: float
    aim: float
    at_most: bool = False
    unit: str = ""

    def verdict(self, value: float) -> str:
        """What a measured value reaches."""
        sign = -1 if self.at_most else 1
        if sign * value >= sign * self.aim:
            return "aim"
        return "floor" if sign * value >= sign * self.floor else "MISSED"


GOALS: dict[str, Goal] = {
    "1": Goal("images/s over the openai SDK (1.5 MB, 64 in flight)", 6, 12),
    "2": Goal("CPU an image, of the openai SDK's", 1 / 4, 1 / 10, True),
    "3 on": Goal("images/s of the yardstick, image check and hash on", 0.25, 0.40),
    "3 off": Goal("the same, image check and hash off", 0.33, 0.60),
    "4": Goal("memory added from 64 to 512 in flight", 150, 20, True, "MB"),
    "5": Goal("peak memory of a 100-row run", 200, 120, True, "MB"),
    "6": Goal("20 KB answers: requests/s over the openai SDK", 9, 20),
    "7": Goal("2,000 in flight at 2 s: of the ideal rate, ten waves", 0.85, 0.95),
    "8": Goal("url answers: images/s over plain aiohttp", 0.9, 1.1),
    "9": Goal("loop lag p99, of plain aiohttp + json's", 1 / 8, 1 / 20, True),
    "10 plan": Goal("plan, 99 % done, over a plain pyarrow scan", 2.0, 1.0, True),
    "10 resume": Goal("resume to its first request, over the same scan", 2.0, 1.0, True),
    "10 memory": Goal("peak memory of plan and resume", 600, 400, True, "MB"),
    "11": Goal("first request of the long manifest over that of 1,000 rows", 1.5, 1.1, True),
    "12": Goal("results.parquet over a pyarrow copy of the manifest", 6, 2, True),
    "12 memory": Goal("its peak memory", 600, 500, True, "MB"),
    "13": Goal("the ledger thread's share of the CPU, fsync on", 10, 5, True, "%"),
    "14": Goal("command to first request, a dozen rows", 1.5, 0.7, True, "s"),
    "flat memory": Goal(
        "memory added after the first minute of a long run, 20 KB answers", 10, 5, True, "MB"
    ),
    "flat new": Goal("planning a new job: what a row adds, dearest length over cheapest", 1.1, 1.1, True),
    "flat plan": Goal("the same, 99 % done", 1.1, 1.1, True),
    "flat results": Goal("results: what a row adds, dearest length over cheapest", 1.1, 1.1, True),
}

_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Reached:
    """A measured line. note: the figures behind the ratio, or why there is none."""

    line: str
    value: float | None
    note: str = ""

    @property
    def missed(self) -> bool:
        """Whether it is worse than the floor."""
        return self.value is not None and GOALS[self.line].verdict(self.value) == "MISSED"


def show_head() -> None:
    """The table's head."""
    _write(f"{'':<12} {'':<{_WIDTH}} {'floor':>9} {'aim':>9} {'measured':>9}  met")


def show(reached: Reached) -> None:
    """One line of the table."""
    goal = GOALS[reached.line]
    sign = "<=" if goal.at_most else ">="
    value, verdict = "-", "-"
    if reached.value is not None:
        value, verdict = f"{reached.value:.3g}{goal.unit and ' ' + goal.unit}", goal.verdict(reached.value)
    floor, aim = (f"{sign}{bar:.3g}" for bar in (goal.floor, goal.aim))
    _write(
        f"{reached.line:<12} {goal.text:<{_WIDTH}} {floor:>9} {aim:>9} {value:>9}  {verdict:<7} {reached.note}"
    )


def _write(line: str) -> None:
    sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()
