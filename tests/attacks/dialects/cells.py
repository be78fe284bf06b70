"""The columns of the matrix: what is done to a dialect's run, and how it must end. Each returns "ok" or what differs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.dialects.comparing import differences
from tests.attacks.dialects.rehearsal import MARK, Rehearsal, Table, rehearsal
from tests.attacks.dialects.ways import OFFICIAL, Way
from tests.support.commandline import Ended

OK = "ok"
NO_TASKS = "-"
"""In place of a column about tasks for a service that answers at once."""
_SUCCEEDED, _UNSETTLED = 0, 3
_SAYS = "The kiln went out."


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a matrix is made. official: the table that all others are held against."""

    folder: Path
    rows: int
    official: Table

    def rehearsal(
        self, way: Way, column: str, *, faults: str = "", latency_s: float = 0.2, concurrency: int = 8
    ) -> AbstractContextManager[Rehearsal]:
        """The job of one cell."""
        folder = self.folder / f"{way.name}-{column}".replace(", ", "-").replace(" ", "_")
        return rehearsal(folder, way, self.rows, faults=faults, latency_s=latency_s, concurrency=concurrency)


def ground(folder: Path, rows: int) -> Ground:
    """The ground for a matrix of so many rows, with the official dialect's table of them."""
    with rehearsal(folder / "reference", OFFICIAL, rows) as job:
        ended = job.run()
        assert ended.code == _SUCCEEDED, ended.err
        return Ground(folder, rows, job.table())


def _ended_badly(ended: Ended, code: int) -> list[str]:
    return [f"exit code {ended.code}: {ended.err.strip()[-200:]}"] if ended.code != code else []


def _bought_once(job: Rehearsal) -> list[str]:
    again = [prompt for prompt, times in job.sent().items() if times > 1]
    return [f"{len(again)} prompts submitted again"] if again else []


def _verdict(problems: list[str]) -> str:
    return "; ".join(problems) or OK


def all_rows(ground: Ground, way: Way) -> str:
    """A plain run: the official dialect's table."""
    with ground.rehearsal(way, "all") as job:
        ended = job.run()
        problems = _ended_badly(ended, _SUCCEEDED)
        if not problems:
            problems = differences(job.table(), ground.official, way) + _bought_once(job)
        return _verdict(problems)


def killed(ground: Ground, way: Way) -> str:
    """Killed half-way and run again: nothing is bought twice, and only what was without an answer is parked.

    An image that the kill left on the disk without its outcome is recovered, without what else the answer told.
    """
    concurrency = max(2, min(8, ground.rows // 4))
    with ground.rehearsal(way, "killed", concurrency=concurrency) as job:
        code = job.kill_once(lambda: job.answered() >= ground.rows // 2)
        if code != -9:
            return f"ended before the kill with exit code {code}"
        unsettled = [each for each in job.ledger() if each.status is None]
        ended = job.run()
        table = job.table()
        parked = {row["prompt"] for row in table.values() if row["status"] == "parked"}
        recovered = {row["prompt"] for row in table.values() if "recovered" in (row["flags"] or ())}
        problems = _ended_badly(ended, _UNSETTLED if parked else _SUCCEEDED)
        if parked - {each.prompt for each in unsettled if each.task_id is None}:
            problems.append("rows are parked whose answer was known")
        if recovered - {each.prompt for each in unsettled}:
            problems.append("images are recovered of rows whose outcome was known")
        apart = {key[0] for key, row in table.items() if row["prompt"] in parked | recovered}
        problems += differences(table, ground.official, way, without=apart)
        problems += _unlike_images(table, ground, way, recovered)
        return _verdict(problems + _bought_once(job))


def _unlike_images(table: Table, ground: Ground, way: Way, prompts: set[str]) -> list[str]:
    """Rows of these prompts whose image is not the official dialect's."""
    return [
        f"{key[0]} has another image"
        for key, row in table.items()
        if row["prompt"] in prompts
        and "sha256" not in way.own
        and row["sha256"] != ground.official[key]["sha256"]
    ]


def _marked(kind: str, more: str = "") -> str:
    return f'[[fault]]\nkind = "{kind}"\nmatch = "{MARK}"\n{more}'


def _judge_marked(
    job: Rehearsal, ground: Ground, status: str, kind: str, says: str | None = None
) -> list[str]:
    """The marked rows have this end and all others are as ever; a second run submits nothing."""
    table = job.table()
    marked = {key[0] for key, row in table.items() if MARK in row["prompt"]}
    problems = differences(table, ground.official, job.way, without=marked)
    for key, row in table.items():
        if key[0] in marked:
            end = (row["status"], row["error_kind"], row["sha256"], row["attempts"])
            if end != (status, kind, None, 1):
                problems.append(f"{key[0]} ended as {end}")
            elif says is not None and row["error_message"] != says:
                problems.append(f"{key[0]} says {row['error_message']!r:.80}")
    return problems + _bought_once(job)


def _faulty(
    ground: Ground, way: Way, fault: str, options: tuple[str, ...], judge: Callable[[Rehearsal], list[str]]
) -> str:
    if not way.tasks:
        return NO_TASKS
    kind = fault.split('"', 2)[1]
    with ground.rehearsal(way, kind, faults=fault, latency_s=0.0) as job:
        problems = _ended_badly(job.run(*options), _UNSETTLED) or judge(job)
        before = job.service.stats()
        problems += _ended_badly(job.run(*options), _UNSETTLED) or judge(job)
        after = job.service.stats()
        if after["requests"] != before["requests"]:
            problems.append(f"the second run submitted {after['requests'] - before['requests']}")
        if (after["polls"] > before["polls"]) is not (kind == "task_never_ends"):
            problems.append(f"the second run polled {after['polls'] - before['polls']} times")
        return _verdict(list(dict.fromkeys(problems)))


def task_failed(ground: Ground, way: Way) -> str:
    """Some tasks fail: their rows fail, with what the service says."""
    fault = _marked("task_failed", f'message = "{_SAYS}"')
    return _faulty(
        ground, way, fault, (), lambda job: _judge_marked(job, ground, "failed", "task_failed", _SAYS)
    )


def task_vanished(ground: Ground, way: Way) -> str:
    """Some tasks vanish: their rows are parked."""
    judge = "parked", "task_lost"
    return _faulty(ground, way, _marked("task_vanished"), (), lambda job: _judge_marked(job, ground, *judge))


def task_never_ends(ground: Ground, way: Way) -> str:
    """Some tasks never end: their rows are parked, and the next run polls them again and submits nothing."""
    judge = "parked", "task_timeout"
    options = ("--set", "endpoint.task_timeout=2s")
    return _faulty(
        ground, way, _marked("task_never_ends"), options, lambda job: _judge_marked(job, ground, *judge)
    )


Cell = Callable[[Ground, Way], str]
CELLS: dict[str, Cell] = {
    "all rows": all_rows,
    "kill -9, resume": killed,
    "task failed": task_failed,
    "task vanished": task_vanished,
    "never ends": task_never_ends,
}
"""Columns by title."""


def guarded(cell: Cell, ground: Ground, way: Way) -> str:
    """The cell; where it cannot be made, why."""
    try:
        return cell(ground, way)
    except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
