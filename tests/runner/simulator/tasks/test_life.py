"""The life of a task by the clock."""

from __future__ import annotations

from runner.simulator.faults.kinds import Fault
from runner.simulator.requests.validate import check_order
from runner.simulator.tasks.life import TASK_LIFE_S, Phase, Task, TaskBook, view_of


def task(fault: Fault | None = None, latency_s: float = 10.0) -> Task:
    order = check_order({"model": "m", "prompt": "p"}, "dieyuyun")
    return Task(0, "key", order, fault, submitted_s=100.0, created=0, latency_s=latency_s)


def seen(task: Task, now: float) -> tuple[Phase, int]:
    task.polls += 1
    view = view_of(task, now)
    return view.phase, view.progress


def test_a_life_by_the_clock() -> None:
    one = task()
    assert [seen(one, 100 + passed) for passed in (0, 1.9, 2, 9.9, 10, 500)] == [
        (Phase.QUEUED, 0),
        (Phase.QUEUED, 19),
        (Phase.PROCESSING, 20),
        (Phase.PROCESSING, 99),
        (Phase.DONE, 100),
        (Phase.DONE, 100),
    ]
    assert seen(task(latency_s=0), 100) == (Phase.DONE, 100)
    assert seen(task(Fault("task_never_ends")), 1e6) == (Phase.PROCESSING, 99)
    assert seen(task(Fault("task_failed")), 110) == (Phase.FAILED, 100)


def test_tasks_are_kept_for_a_day_and_for_their_key() -> None:
    book, one = TaskBook(), task()
    book.add(one)
    assert book.find(one.id, "key", 100 + TASK_LIFE_S) is one
    assert book.find(one.id, "key", 101 + TASK_LIFE_S) is None
    assert book.find(one.id, "other", 100) is None
    assert book.document(109)["tasks"]["finished"] == 0
    assert book.document(110)["tasks"]["uncollected"] == [{"id": one.id, "prompt": "p", "answered": False}]
