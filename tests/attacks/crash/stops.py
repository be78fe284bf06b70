"""SIGTERM and SIGINT at random moments: the first drains and parks nothing, the second parks what is in flight."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.attacks.crash import ledgers
from tests.attacks.crash.campaign import finish
from tests.attacks.crash.jobs import HANG_S, Ground, Job
from tests.attacks.crash.rows import SORTS, Sort
from tests.attacks.faults.marker import write

WHOLE = tuple(sort for sort in SORTS if sort.ends == "succeeded")
"""Sorts of rows that succeed, so that a parked row is the signal's doing."""
STUCK = Sort("stuck", 1, "parked", write("late", after=60, times=1))
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
_NOTICED_S = 0.1
"""Between two signals, so that the kernel does not merge them."""


@dataclass
class Stops:
    """What came of it. codes: exit codes of stopped runs; slowest_s: longest time from the second signal to the end."""

    codes: Counter[int | None] = field(default_factory=Counter)
    parked: int = 0
    slowest_s: float = 0.0
    violations: list[str] = field(default_factory=list)


def drained(ground: Ground, times: int, seed: int) -> Stops:
    """One SIGTERM a job at a random moment of its run; then the job is resumed to its end."""
    stops = Stops()
    for number in range(times):
        chance = random.Random(f"{seed}/term/{number}")
        job = Job(ground, f"term-{seed}-{number}", chance, count=chance.randint(12, 24), sorts=WHOLE)
        child = job.start()
        time.sleep(chance.uniform(0.0, 0.1 + 0.04 * len(job.rows) / job.concurrency))
        child.signal(signal.SIGTERM)
        code = child.wait(HANG_S)
        stops.codes[code] += 1
        problems = [*_after_stop(job, code, stops), *finish(job)]
        _note(stops, job, problems)
    return stops


def _after_stop(job: Job, code: int | None, stops: Stops) -> list[str]:
    ledger = ledgers.read(job.out)
    parked = [attempt for attempt in ledger.attempts if attempt.status == "parked"]
    stops.parked += len(parked)
    problems = job.judge.after_kill(job.history())
    if parked or ledger.dangling:
        problems.append(f"SIGTERM: {len(parked)} attempts parked, {len(ledger.dangling)} without an outcome")
    if code not in (0, CODES[signal.SIGTERM], -signal.SIGTERM):
        problems.append(f"SIGTERM: exit code {code}")
    if code == CODES[signal.SIGTERM]:
        statuses = {record["status"] for record in job.judge.records()}
        ended_early = not ledger.attempts
        if not (statuses or ended_early) or not statuses <= {"succeeded", "pending"}:
            problems.append(f"SIGTERM: the results table holds {sorted(statuses)}")
    return problems


def cut(ground: Ground, times: int, seed: int) -> Stops:
    """Two signals a job while every slot waits for an answer; then the job is resumed to its end."""
    stops = Stops()
    for number in range(times):
        chance = random.Random(f"{seed}/cut/{number}")
        sent = chance.choice((signal.SIGTERM, signal.SIGINT))
        job = Job(ground, f"cut-{seed}-{number}", chance, count=12, sorts=WHOLE, first=STUCK)
        child = job.start()
        problems = []
        if not job.await_requests(job.concurrency):
            problems.append("cut: the requests did not start")
        child.signal(sent)
        time.sleep(_NOTICED_S)
        child.signal(sent)
        second = time.monotonic()
        code = child.wait(HANG_S)
        stops.slowest_s = max(stops.slowest_s, time.monotonic() - second)
        stops.codes[code] += 1
        problems += _after_cut(job, code, CODES[sent], stops)
        problems += finish(job)
        _note(stops, job, problems)
    return stops


def _after_cut(job: Job, code: int | None, wanted: int, stops: Stops) -> list[str]:
    ledger = ledgers.read(job.out)
    parked = {attempt.prompt for attempt in ledger.attempts if attempt.status == "parked"}
    stops.parked += len(parked)
    stuck = {row.prompt for row in job.rows if row.sort is STUCK}
    problems = job.judge.after_kill(job.history())
    if parked != stuck or ledger.dangling:
        problems.append(
            f"cut: {len(parked)} parked of {len(stuck)} in flight, {len(ledger.dangling)} dangling"
        )
    if code != wanted:
        problems.append(f"cut: exit code {code}, not {wanted}")
    return problems


def _note(stops: Stops, job: Job, problems: list[str]) -> None:
    stops.violations += [f"{job.name}: {text}" for text in problems]
    if not problems:
        shutil.rmtree(job.folder)
