"""The kill campaign: jobs that are killed again and again until they complete, judged after every kill.

A job's first kills come while its folder is made, then while rows are sent, then while the folder is recovered, then
while that recovery is recovered, and at last while tables are written; then it may finish, and is run once more.
"""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from tests.attacks.crash.jobs import HANG_S, Ground, Job
from tests.attacks.crash.judge import changes
from tests.attacks.crash.points import PARTS
from tests.attacks.crash.troubles import TROUBLES
from tests.attacks.faults.drive import frozen_files

AT_RANDOM = "at a random time"
REAL = "a real process, at a random time"
_FIRST_FEW = 4
"""A point of the engine, and the making of a folder, comes several times; one of the first so many is taken."""
_OTHERWISE = {
    "fresh": {"run start: before commit": 1},
    "opening": {"permit granted": 1},
    "recovery": {"permit granted": 1},
    "engine": {"outcome: after commit": 4},
}
"""Where the kill comes if a run of that part does not pass the point at all."""
_REAL_STARTS_S = (0.2, 2.0)


@dataclass
class Tally:
    """What a campaign has done so far. kills: by point; tried: points that were chosen. Shared by threads."""

    kills: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    parked: int = 0
    adopted: int = 0
    max_in_flight: int = 0
    jobs: int = 0
    rows: int = 0
    violations: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def total(self) -> int:
        """Kills in all."""
        return self.kills.total()

    def choose(self, part: str, chance: Random) -> str:
        """A point of the part that was tried least."""
        with self.lock:
            least = min(self.tried[label] for label in PARTS[part])
            label = chance.choice([label for label in PARTS[part] if self.tried[label] == least])
            self.tried[label] += 1
            return label


@dataclass(frozen=True, slots=True)
class Aim:
    """How a campaign chooses its kills.

    points, random: at named points, at random times; real: share of real processes; troubles: share of runs to which
    something else happens before.
    """

    points: bool = True
    random: bool = True
    real: float = 0.0
    troubles: float = 0.0

    def parts(self, chance: Random) -> Iterator[str]:
        """Where a job is killed, in order: a part, a trouble, "" for a random time, "real" for one of a real process."""
        for part in _course(chance):
            if chance.random() < self.real:
                yield "real"
            elif chance.random() < self.troubles:
                yield chance.choice(list(TROUBLES))
            elif self.points and not (self.random and chance.random() < 0.25):
                yield part
            else:
                yield ""


def _course(chance: Random) -> Iterator[str]:
    for part in ("fresh", "opening"):
        if chance.random() < 0.6:
            yield part
    for _ in range(chance.randint(3, 6)):
        yield "engine"
        while chance.random() < 0.45:
            yield chance.choice(("opening", "opening", "recovery"))
    for _ in range(chance.randint(2, 5)):
        yield "closing"
        if chance.random() < 0.3:
            yield "opening"


def kill(job: Job, part: str, tally: Tally, chance: Random) -> str | None:
    """One run with a kill in it; where the kill came, None when the run ended first. Raises TimeoutError if it hangs."""
    if part == "real":
        return _kill_process(job, chance)
    if part in TROUBLES:
        return _kill_in_trouble(job, part, chance)
    if part:
        label = tally.choose(part, chance)
        several = part == "engine" or label.startswith("folder")
        nth = chance.randint(1, _FIRST_FEW) if several else 1
        child = job.start(_OTHERWISE.get(part, {}) | {label: nth})
    else:
        child = job.start()
        time.sleep(chance.uniform(0.0, 0.1 + 0.02 * len(job.rows) / job.concurrency))
        child.signal(signal.SIGKILL)
    code = child.wait(HANG_S)
    if code is None:
        raise TimeoutError
    if code != -signal.SIGKILL:
        return None
    return job.moments()[0] if part else AT_RANDOM


def _kill_in_trouble(job: Job, trouble: str, chance: Random) -> str | None:
    child = job.start()
    time.sleep(chance.uniform(0.0, 0.1 + 0.02 * len(job.rows) / job.concurrency))
    TROUBLES[trouble](job, child, chance)
    child.signal(signal.SIGKILL)
    code = child.wait(HANG_S)
    if code is None:
        raise TimeoutError
    return trouble if code == -signal.SIGKILL else None


def _kill_process(job: Job, chance: Random) -> str | None:
    process = job.start_process()
    time.sleep(chance.uniform(*_REAL_STARTS_S))
    process.kill()
    return REAL if process.wait(HANG_S) == -signal.SIGKILL else None


def chance_of(seed: int, number: int) -> Random:
    """The randomness of one job."""
    return Random(f"{seed}/{number}")


def attack(ground: Ground, number: int, seed: int, aim: Aim, tally: Tally, enough: int) -> None:
    """One job: killed until its course is over, then finished and repeated. Stops killing after `enough` in all."""
    chance = chance_of(seed, number)
    job = Job(ground, f"job-{seed}-{number}", chance, count=chance.randint(12, 40))
    problems: list[str] = []
    for part in aim.parts(chance):
        if tally.total >= enough:
            break
        where = kill(job, part, tally, chance)
        if where is None:
            continue
        with tally.lock:
            tally.kills[where] += 1
        problems += [f"{job.name}, killed {where}: {text}" for text in job.judge.after_kill(job.history())]
    problems += [f"{job.name}, at its end: {text}" for text in finish(job)]
    _add(tally, job, problems)
    if not problems:
        shutil.rmtree(job.folder)


def finish(job: Job) -> list[str]:
    """Let the job end, then run it again: what is wrong with it."""
    code = job.start().wait(HANG_S)
    problems = job.judge.at_end(code, job.history())
    before, sent = frozen_files(job.out), job.requests()
    again = job.start().wait(HANG_S)
    if again != code:
        problems.append(f"G15: exit code {again} when run again, {code} before")
    if job.requests() != sent:
        problems.append(f"G9: the repeated run sent {job.requests() - sent} requests")
    return problems + changes(before, job.out) + job.leaks()


def _add(tally: Tally, job: Job, problems: list[str]) -> None:
    statuses = {record["row"]: record["status"] for record in job.judge.records()}
    prompts = {row.position: row.prompt for row in job.rows}
    interrupted = [statuses.get(position) for position, p in prompts.items() if p in job.judge.interrupted]
    with tally.lock:
        tally.jobs += 1
        tally.rows += len(job.rows)
        tally.parked += interrupted.count("parked")
        tally.adopted += interrupted.count("succeeded")
        tally.max_in_flight = max(tally.max_in_flight, job.judge.max_in_flight)
        tally.violations += problems


def run(ground: Ground, kills: int, *, seed: int, aim: Aim, parallel: int) -> Tally:
    """Attack jobs until so many kills have come. The first internal error of a worker ends it."""
    tally = Tally()
    numbers = iter(range(10**9))

    def work() -> None:
        while tally.total < kills:
            with tally.lock:
                number = next(numbers)
            try:
                attack(ground, number, seed, aim, tally, kills)
            except TimeoutError:
                with tally.lock:
                    tally.violations.append(f"job-{seed}-{number}: G12: hangs for {HANG_S:g} s")
            except BaseException as error:
                with tally.lock:
                    tally.violations.append(f"job-{seed}-{number}: not judged: {error!r}")
                raise

    workers = [threading.Thread(target=work) for _ in range(parallel)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return tally
