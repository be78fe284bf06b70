"""Lines 1 to 6, 8, 9, 13 and 14: whole runs beside the peers, in rounds in which everybody has a turn."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.bench.peers.contestants import (
    AIOHTTP,
    INSIDE,
    LIMIT,
    MILL,
    OPENAI,
    UNCHECKED,
    Ground,
    Result,
    Task,
)
from tests.bench.peers.goals import Reached
from tests.bench.peers.measuring import Failed
from tests.bench.peers.pictures import BIG, SMALL
from tests.bench.peers.programs import Serving

URL = "url"
DOZEN, HUNDRED = 12, 100
_USUAL = 1800
_WHOLE_WAVES = 50
"""Fewer images a run than this: a trial, whose waves are smaller too."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. images: a run's, of 1.5 MB. rounds: of which the median counts. rows: of the long manifest."""

    images: int = _USUAL
    rounds: int = 5
    rows: int = 10_000_000

    @property
    def small(self) -> int:
        """Requests of a run with 20 KB answers."""
        return self.images * 10

    @property
    def many(self) -> int:
        """Requests of the long run."""
        return 300_000 if self.images >= _USUAL else self.images * 50

    @property
    def slow(self) -> int:
        """Images of a run of the openai SDK, which takes long."""
        return max(8, self.images // 3)


Round = dict[str, Result]


def rounds(ground: Ground, size: Size, tasks: dict[str, Task]) -> list[Round]:
    """Every contestant's task once a round, in turn, backwards in every other one; saved bytes are checked in the first."""
    found: list[Round] = []
    for number in range(size.rounds):
        names = list(tasks)[:: 1 if number % 2 == 0 else -1]
        found.append({name: ground.run(name, replace(tasks[name], check=number == 0)) for name in names})
    return found


def median(found: list[Round], value: Callable[[Round], float]) -> float:
    """The median over the rounds."""
    return statistics.median(value(each) for each in found)


def _note(found: list[Round], names: tuple[str, ...]) -> str:
    parts = []
    for name in names:
        results = [each[name] for each in found]
        rate = statistics.median(result.rate for result in results)
        cpu = statistics.median(result.cpu_ms for result in results)
        parts.append(f"{name} {rate:.0f}/s {cpu:.2f} ms CPU")
    return "; ".join(parts)


def _over_sdk(found: list[Round], value: Callable[[Result], float]) -> float | None:
    """imagemill's value over the openai SDK's; None where it is not here."""
    if OPENAI not in found[0]:
        return None
    return median(found, lambda each: value(each[MILL]) / value(each[OPENAI]))


def _can(ground: Ground, name: str) -> bool:
    """Whether this contestant can do its work at all."""
    try:
        ground.run(name, Task(Serving(SMALL), 2))
    except Failed:
        return False
    return True


def big(ground: Ground, size: Size) -> Iterator[Reached]:
    """1.5 MB answers, 64 in flight."""
    serving = Serving(BIG)
    tasks = {
        MILL: Task(serving, size.images),
        LIMIT: Task(serving, size.images),
        AIOHTTP: Task(serving, size.slow),
    }
    unchecked = _can(ground, UNCHECKED)
    if unchecked:
        tasks[UNCHECKED] = Task(serving, size.images)
    if ground.python_with_openai:
        tasks[OPENAI] = Task(serving, size.slow)
    found = rounds(ground, size, tasks)
    note = _note(found, tuple(tasks))
    yield Reached("1", _over_sdk(found, lambda each: each.rate), note)
    yield Reached("2", _over_sdk(found, lambda each: each.cpu_ms))
    cpu = median(found, lambda each: each[MILL].cpu_ms / each[LIMIT].cpu_ms)
    value = median(found, lambda each: each[MILL].rate / each[LIMIT].rate)
    yield Reached("3 on", value, f"CPU {cpu:.1f} times the yardstick's")
    off = median(found, lambda each: each[UNCHECKED].rate / each[LIMIT].rate) if unchecked else None
    yield Reached(
        "3 off",
        off,
        "no such setting: with both replaced by nothing" if unchecked else "cannot be turned off",
    )


def memory(ground: Ground, size: Size) -> Iterator[Reached]:
    """Most resident memory."""
    serving = Serving(BIG)
    names = {"64": Task(serving, size.images * 2), "512": Task(serving, size.images * 2, 512)}
    peaks: dict[str, list[float]] = {"64": [], "512": [], "hundred": []}
    for _ in range(min(3, size.rounds)):
        for name, task in names.items():
            peaks[name].append(ground.run(MILL, task).peak_mb)
        peaks["hundred"].append(ground.run(MILL, Task(serving, min(HUNDRED, size.images))).peak_mb)
    few, many, hundred = (statistics.median(peaks[name]) for name in ("64", "512", "hundred"))
    yield Reached("4", many - few, f"{few:.0f} MB at 64, {many:.0f} MB at 512")
    yield Reached("5", hundred)


def small(ground: Ground, size: Size) -> Iterator[Reached]:
    """20 KB answers, 64 in flight."""
    serving = Serving(SMALL)
    tasks = {
        MILL: Task(serving, size.small),
        LIMIT: Task(serving, size.small),
        AIOHTTP: Task(serving, size.small),
    }
    if ground.python_with_openai:
        tasks[OPENAI] = Task(serving, size.images)
    found = rounds(ground, size, tasks)
    yield Reached("6", _over_sdk(found, lambda each: each.rate), _note(found, tuple(tasks)))


def waves(ground: Ground, size: Size) -> Iterator[Reached]:
    """2,000 in flight at 2 s latency; from the first request to the last answer."""
    in_flight, latency_s = (2000, 2.0) if size.images >= _WHOLE_WAVES else (size.images * 4, 0.2)
    task = Task(Serving(SMALL, round(latency_s * 1000)), in_flight * 10, in_flight)
    result = ground.run(MILL, task)
    wall = result.stats["last_s"] - result.stats["first_s"]
    ideal = in_flight / latency_s
    note = f"{task.images / wall:.0f} of {ideal:.0f}/s; most in flight {result.stats['most_in_flight']}"
    yield Reached("7", task.images / wall / ideal, f"{note}; {result.peak_mb:.0f} MB")


def steady(ground: Ground, size: Size) -> Iterator[Reached]:
    """A long run of 20 KB answers: memory after the first minute against that of the minute."""
    result = ground.run(MILL, Task(Serving(SMALL), size.many))
    note = f"{result.images:,} images in {result.wall_s:.0f} s; peak {result.peak_mb:.0f} MB"
    yield Reached("flat memory", result.grown_mb, note)


def url(ground: Ground, size: Size) -> Iterator[Reached]:
    """Answers with a link, 64 in flight."""
    task = Task(Serving(URL), size.images)
    found = rounds(ground, size, {MILL: task, AIOHTTP: task})
    value = median(found, lambda each: each[MILL].rate / each[AIOHTTP].rate)
    yield Reached("8", value, _note(found, (MILL, AIOHTTP)))


def lag(ground: Ground, size: Size) -> Iterator[Reached]:
    """The event loop's lag, and the ledger's share of the CPU."""
    serving = Serving(BIG)
    tasks = {INSIDE: Task(serving, size.images), AIOHTTP: Task(serving, size.slow)}
    found = rounds(ground, size, tasks)

    def late(each: Round, name: str) -> float:
        return float(each[name].told["lag_p99_ms"])

    ours, theirs = (
        median(found, lambda each: late(each, INSIDE)),
        median(found, lambda each: late(each, AIOHTTP)),
    )
    value = median(found, lambda each: late(each, INSIDE) / late(each, AIOHTTP))
    yield Reached("9", value, f"{ours:.0f} ms; plain aiohttp {theirs:.0f} ms")
    share = median(found, lambda each: float(each[INSIDE].told["ledger_share"]) * 100)
    tiny = ground.run(INSIDE, Task(Serving(SMALL), size.small)).told["ledger_share"] * 100
    yield Reached("13", share, f"with 1.5 MB answers; {tiny:.1f} % with 20 KB answers")


def start(ground: Ground, size: Size) -> Iterator[Reached]:
    """From the command to its first request."""
    task = Task(Serving(SMALL), DOZEN)
    taken = [ground.run(MILL, task).start_s for _ in range(size.rounds)]
    yield Reached("14", statistics.median(taken), f"{min(taken):.2f} to {max(taken):.2f} s")
