"""Tasks: how far each is at a time, what a fault makes of its life, and which are known.

A task is queued for the first fifth of its latency, then processing, then done. What a poll sees is decided here
(`view_of`) and told elsewhere (`polls`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from runner.simulator.faults.kinds import Fault
from runner.simulator.requests.validate import Order

TASK_LIFE_S = 86_400.0
STRANGE_WORD = "percolating"
_QUEUED_SHARE = 0.2
_FIGURES = ("submitted", "answered", "again", "collected", "polls")


class Phase(IntEnum):
    """How far a task is; also the place of its word in `TaskForm.words`."""

    QUEUED = 0
    PROCESSING = 1
    DONE = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Plot:
    """What one kind of fault makes of a task's life.

    ends: how, or None for never. failure: the kind in `refusals.REFUSALS` whose text a failed one shows.
    opening: phase and progress that the first polls see, whatever the time. held: how many first polls see it going.
    strange: its word is one that nobody knows while it goes on. other_id: polls show another one.
    vanished: polls answer 404. errors: statuses of the first polls, in turn. silent: they are not answered.
    polls: how many first polls meet `held`, `errors` or `silent`, when the fault does not say.
    """

    ends: Phase | None = Phase.DONE
    failure: str = ""
    opening: tuple[tuple[Phase, int], ...] = ()
    held: bool = False
    strange: bool = False
    other_id: bool = False
    vanished: bool = False
    errors: tuple[int, ...] = ()
    silent: bool = False
    polls: int = 0


PLAIN = Plot()
PLOTS: dict[str, Plot] = {
    "task_failed": Plot(ends=Phase.FAILED, failure="server_error"),
    "task_moderated": Plot(ends=Phase.FAILED, failure="moderation"),
    "task_vanished": Plot(vanished=True),
    "task_never_ends": Plot(ends=None),
    "task_backwards": Plot(opening=((Phase.PROCESSING, 99), (Phase.QUEUED, 0), (Phase.PROCESSING, 50))),
    "task_changes_id": Plot(other_id=True),
    "task_fewer_images": PLAIN,
    "task_unknown_status": Plot(held=True, strange=True, polls=2),
    "poll_errors": Plot(errors=(429, 500, 502), polls=3),
    "poll_hang": Plot(silent=True, polls=1),
    "sync_in_async_reply": PLAIN,
    "task_in_sync_reply": PLAIN,
}


@dataclass(slots=True)
class Task:
    """One task. submitted_s: monotonic seconds; created: Unix seconds. latency_s: from the submit to the end.

    number: from 0, in order of submission. key: the submitter's. polls: how many came for it so far.
    answered: whether its submit was answered, as far as a server can know. collected: a poll was answered with the
    end of it, images or failure.
    """

    number: int
    key: str
    order: Order
    fault: Fault | None
    submitted_s: float
    created: int
    latency_s: float
    id: str = field(default_factory=lambda: f"task_{uuid.uuid4().hex}")
    polls: int = 0
    answered: bool = False
    collected: bool = False
    body: bytes | None = None

    @property
    def plot(self) -> Plot:
        """What its fault makes of it."""
        return PLOTS.get(self.fault.kind, PLAIN) if self.fault else PLAIN

    @property
    def disturbed_polls(self) -> int:
        """How many first polls meet its fault."""
        given = self.fault.polls if self.fault else None
        return self.plot.polls if given is None else given


@dataclass(frozen=True, slots=True)
class View:
    """What a poll sees. word: the status where it is none of the dialect's own, else None. progress: 0 to 100."""

    phase: Phase
    progress: int
    id: str
    word: str | None = None


def phase_at(task: Task, now: float) -> tuple[Phase, int]:
    """Phase and progress by the clock alone. now: monotonic seconds."""
    passed = now - task.submitted_s
    if task.plot.ends is not None and passed >= task.latency_s:
        return task.plot.ends, 100
    share = min(0.99, passed / task.latency_s) if task.latency_s else 0.99
    return Phase.QUEUED if share < _QUEUED_SHARE else Phase.PROCESSING, int(100 * share)


def view_of(task: Task, now: float) -> View:
    """What the latest poll sees, itself counted in `task.polls`. now: monotonic seconds."""
    plot = task.plot
    phase, progress = phase_at(task, now)
    if task.polls <= len(plot.opening):
        phase, progress = plot.opening[task.polls - 1]
    elif plot.held and task.polls <= task.disturbed_polls:
        phase, progress = Phase.PROCESSING, min(progress, 99)
    going = phase in (Phase.QUEUED, Phase.PROCESSING)
    shown = f"{task.id}_moved" if plot.other_id else task.id
    return View(phase, progress, shown, STRANGE_WORD if plot.strange and going else None)


class TaskBook:
    """The tasks that there are."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    def add(self, task: Task) -> None:
        """A task has been submitted."""
        self._tasks[task.id] = task

    def __len__(self) -> int:
        return len(self._tasks)

    def find(self, id: str, key: str, now: float) -> Task | None:
        """The task, or None where it is unknown, another key's, or older than a day."""
        task = self._tasks.get(id)
        if task is None or task.key != key or now - task.submitted_s > TASK_LIFE_S:
            return None
        return task

    def document(self, now: float) -> dict[str, Any]:
        """What `/stats` tells of tasks.

        finished, failed: ended in images, in failure. collected: finished, and a poll was answered with the images.
        By prompt, again: submitted after one whose submit had been answered.
        """
        tasks = list(self._tasks.values())
        ended = [task for task in tasks if phase_at(task, now)[0] >= Phase.DONE]
        finished = [task for task in ended if task.plot.ends is Phase.DONE]
        by_prompt: dict[str, dict[str, int]] = {}
        for task in tasks:
            entry = by_prompt.setdefault(task.order.prompt, dict.fromkeys(_FIGURES, 0))
            entry["again"] += entry["answered"] > 0
            entry["submitted"] += 1
            entry["answered"] += task.answered
            entry["collected"] += task.collected
            entry["polls"] += task.polls
        return {
            "tasks": {
                "submitted": len(tasks),
                "answered": sum(task.answered for task in tasks),
                "finished": len(finished),
                "failed": len(ended) - len(finished),
                "collected": sum(task.collected for task in finished),
                "uncollected": [
                    {"id": task.id, "prompt": task.order.prompt, "answered": task.answered}
                    for task in finished
                    if not task.collected
                ],
            },
            "tasks_by_prompt": by_prompt,
        }
