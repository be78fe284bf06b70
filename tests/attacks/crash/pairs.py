"""Two runners of one folder started together: exactly one sends, the other exits 6. Each has a key of its own, so that
the server can tell them apart."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.attacks.crash.campaign import finish
from tests.attacks.crash.jobs import HANG_S, Ground, Job
from tests.attacks.crash.rows import Sort
from tests.attacks.faults.marker import write

LOCKED = 6
_ROWS = 16
_SLOW = (Sort("slow", 1, "succeeded", write("late", after=0.1)),)
"""So many of these take longer than the later runner needs to start and to find the lock taken."""


@dataclass
class Pairs:
    """What came of it. senders: how many keys the server saw in a pair."""

    codes: Counter[tuple[int | None, ...]] = field(default_factory=Counter)
    senders: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def together(ground: Ground, times: int, seed: int) -> Pairs:
    """Start two runners at once, on fresh folders and on those that a killed run left."""
    pairs = Pairs()
    for number in range(times):
        chance = random.Random(f"{seed}/pair/{number}")
        name = f"pair-{seed}-{number}"
        job = Job(ground, name, chance, count=_ROWS, sorts=_SLOW, slots=(1, 2))
        problems = [] if chance.random() < 0.5 else _killed_once(job, chance)
        before = len(job.history().all("request"))
        children = [job.start(key="sk-canary-of-the-first-runner")]
        time.sleep(chance.uniform(0.0, 0.03))
        children.append(job.start(key="sk-canary-of-the-second-runner"))
        codes = tuple(sorted(child.wait(HANG_S) or 0 for child in children))
        keys = {event["authorization"] for event in job.history().all("request")[before:]}
        pairs.codes[codes] += 1
        pairs.senders[len(keys)] += 1
        if LOCKED not in codes or codes == (LOCKED, LOCKED):
            problems.append(f"G10: exit codes {codes}")
        if len(keys) != 1:
            problems.append(f"G10: {len(keys)} runners sent")
        problems += finish(job)
        pairs.violations += [f"{name}: {text}" for text in problems]
        if not problems:
            shutil.rmtree(job.folder)
    return pairs


def _killed_once(job: Job, chance: random.Random) -> list[str]:
    """Kill a run while rows are still to be sent."""
    job.start({"outcome: after commit": chance.randint(1, 4)}).wait(HANG_S)
    return job.judge.after_kill(job.history())
