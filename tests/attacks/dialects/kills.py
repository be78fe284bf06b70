"""Kills at random moments of runs whose answers are tasks, judged by the ledger after each and by the service at the end.

Some submits are answered slowly, byte by byte, so that kills meet them too. A row whose submit a kill met is parked: nobody
knows its task. Every other task is polled by the next run, and nothing is submitted again.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attacks.dialects.rehearsal import Recorded, Rehearsal, rehearsal
from tests.attacks.dialects.ways import WAYS
from tests.support.canary import leaks

_DIEYUYUN = next(way for way in WAYS if way.name == "dieyuyun")
_SLOW_SUBMITS = '[[fault]]\nkind = "drip"\nshare = 0.25\ndelay = 0.004\n'
_CONCURRENCY = 16
_LATEST_S, _DURABLE_S = 2.5, 1.0
"""The latest kill after a start; an answer this old must be in the ledger."""


@dataclass(slots=True)
class Figures:
    """What a campaign came to. met: submits that kills met; of them, unheard: the service had answered those.

    finished: tasks that came to an end at the service; known: tasks whose id is in a ledger; collected: those whose end
    a poll was answered with.
    """

    kills: int = 0
    jobs: int = 0
    rows: int = 0
    submitted: int = 0
    again: int = 0
    finished: int = 0
    known: int = 0
    collected: int = 0
    succeeded: int = 0
    parked: int = 0
    met: int = 0
    unheard: int = 0
    violations: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures as text."""
        return [
            f"{self.kills} kills of {self.jobs} runs of {self.rows} tasks in all",
            f"submits that the service got: {self.submitted}; of tasks that were submitted before: {self.again}",
            f"tasks that the service finished: {self.finished}; whose submit was answered: {self.known}; "
            f"collected: {self.collected}",
            f"rows: {self.succeeded} succeeded, {self.parked} parked",
            f"submits that a kill met: {self.met}, of them {self.unheard} with the answer on its way",
            f"{len(self.violations)} violations",
        ]


def campaign(folder: Path, kills: int, rows: int, seed: int, *, per_job: int = 70) -> Figures:
    """So many kills, at most `per_job` of one job of so many rows; a job with a violation is left in the folder."""
    figures, chance = Figures(), random.Random(seed)
    while figures.kills < kills:
        place = folder / f"job-{figures.jobs}"
        with rehearsal(
            place, _DIEYUYUN, rows, latency_s=0.3, faults=_SLOW_SUBMITS, concurrency=_CONCURRENCY
        ) as job:
            attacked = _Attacked(job, chance, figures)
            attacked.attack(min(kills, figures.kills + per_job))
            found = [*attacked.at_end(), *leaks(place)]
        figures.violations += [f"{place.name}: {text}" for text in found]
        if not attacked.violations and not found:
            shutil.rmtree(place)
    return figures


class _Attacked:
    """One job under attack. met: prompts whose submit a kill met."""

    def __init__(self, job: Rehearsal, chance: random.Random, figures: Figures) -> None:
        self.violations: list[str] = []
        self._job = job
        self._chance = chance
        self._figures = figures
        self._met: set[str] = set()

    def attack(self, until_kills: int) -> None:
        """Kill until the campaign has had so many, or a run ends by itself."""
        while self._figures.kills < until_kills:
            answered, process = self._cut()
            if process.returncode != -9:
                return
            self._figures.kills += 1
            self.violations += self._after_kill(answered)

    def _cut(self) -> tuple[set[str], subprocess.Popen[str]]:
        """Kill a run at a random moment: prompts whose submit had been answered long before, and the process."""
        delay_s = self._chance.uniform(0.1, _LATEST_S)
        process = self._job.start()
        time.sleep(max(0.0, delay_s - _DURABLE_S))
        by_prompt = self._job.service.stats()["tasks_by_prompt"]
        time.sleep(min(delay_s, _DURABLE_S))
        process.kill()
        process.communicate()
        answered = {prompt for prompt, entry in by_prompt.items() if entry["answered"]}
        return answered if delay_s >= _DURABLE_S else set(), process

    def _after_kill(self, answered: set[str]) -> list[str]:
        ledger, stats = self._job.ledger(), self._job.service.stats()
        known = {each.prompt for each in ledger if each.task_id is not None}
        unknown = {each.prompt for each in ledger if each.task_id is None}
        met = {each.prompt for each in ledger if each.task_id is None and each.status is None}
        polled = {prompt for prompt, entry in stats["tasks_by_prompt"].items() if entry["polls"]}
        late = answered & unknown - self._met
        self._met |= met
        problems = [*_sent_once(ledger, stats)]
        problems += [f"G7: polled before its id was durable: {prompt!r}" for prompt in polled - known]
        problems += [f"G7: answered, and its id is not durable: {prompt!r}" for prompt in late]
        problems += [
            f"G4: sent before its intent: {prompt!r}" for prompt in set(stats["by_prompt"]) - known - unknown
        ]
        return problems

    def at_end(self) -> list[str]:
        """Run to the end and judge; adds the job to the figures."""
        ended, stats = self._job.run(), self._job.service.stats()
        ledger = self._job.ledger()
        rows = {key[0]: row for key, row in self._job.table().items()}
        succeeded = {row["prompt"] for row in rows.values() if row["status"] == "succeeded"}
        parked = {row["prompt"] for row in rows.values() if row["status"] == "parked"}
        known = {each.prompt for each in ledger if each.task_id is not None}
        problems = [*self.violations, *_sent_once(ledger, stats)]
        if ended.code != (3 if parked else 0):
            problems.append(f"G15: exit code {ended.code}: {ended.err[-200:]}")
        problems += [f"parked though no kill met its submit: {prompt!r}" for prompt in parked - self._met]
        problems += [f"its task is known and not collected: {prompt!r}" for prompt in known - succeeded]
        lost = {entry["prompt"] for entry in stats["tasks"]["uncollected"]}
        problems += [f"finished and not collected: {prompt!r}" for prompt in lost - parked]
        if len(succeeded) + len(parked) != self._job.rows:
            problems.append(f"G0: {len(succeeded)} succeeded, {len(parked)} parked of {self._job.rows} rows")
        if problem := self._job.verify():
            problems.append(f"G16: {problem}")
        self._figures.known += len(known)
        self._add(stats, len(succeeded), parked)
        return problems

    def _add(self, stats: dict[str, Any], succeeded: int, parked: set[str]) -> None:
        figures, by_prompt = self._figures, stats["tasks_by_prompt"]
        figures.jobs += 1
        figures.rows += self._job.rows
        figures.submitted += stats["requests"]
        figures.again += stats["requests"] - len(stats["by_prompt"])
        figures.finished += stats["tasks"]["finished"]
        figures.collected += stats["tasks"]["collected"]
        figures.succeeded += succeeded
        figures.parked += len(parked)
        figures.met += len(self._met)
        figures.unheard += sum(bool(by_prompt.get(prompt, {}).get("answered")) for prompt in parked)


def _sent_once(ledger: list[Recorded], stats: dict[str, Any]) -> list[str]:
    """G7: what was submitted more than once, by the ledger and by the service."""
    asked = Counter(each.prompt for each in ledger), Counter(stats["by_prompt"])
    twice = {prompt for counted in asked for prompt, times in counted.items() if times > 1}
    twice |= {prompt for prompt, entry in stats["tasks_by_prompt"].items() if entry["again"]}
    return [f"G7: submitted again: {prompt!r}" for prompt in twice]
