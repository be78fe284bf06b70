"""Following a task to its end: polls, which are free, until its images are there, it failed, vanished or took too long.

A poll that fails is not a task that failed: whatever does not speak of the task is asked again, more slowly. Only a
refused key ends the polling at once; the task itself goes on, and the next run asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import quote

from jobs.classify import read_error, refused, wait_hint
from runner.http.messages import Answer, Broken
from runner.providers import image_answers, task_documents
from runner.providers.conversation import (
    Conversation,
    Fetch,
    Poll,
    Received,
    ReceivedImage,
    Rejected,
    Step,
    StepResult,
    Wait,
)
from schemas.failures import Billed, Failure, FailureKind
from schemas.outcome import Reported, Task, Unfinished
from schemas.task_dialects import TaskDialect

LOST_AFTER = 5
"""So many answers in a row that know of no such task, each place asked at least twice, and the task is lost."""
EMPTY_AFTER = 3
"""A task that is said to be done and shows no image is asked so often."""
_SLOWER = ((60.0, 1.0), (180.0, 2.0), (float("inf"), 3.0))
"""Seconds since polling began -> how many times the usual pause."""
_MOST_PAUSE_S = 60.0
_UNKNOWN_TASK = re.compile(r"not[_ ]?found|no such|not[_ ]exist|unknown[_ ]task|expired", re.IGNORECASE)
_KEY_REFUSED = (401, 403)
_NOT_THE_TASKS = (408, 425, 429)
"""With 5xx, the statuses that tell of the poll and never of the task, whatever words their documents hold."""


class Patience(NamedTuple):
    """every_s: the usual pause between polls. total_s: polling one task in one run. clock: monotonic seconds."""

    every_s: float
    total_s: float
    clock: Callable[[], float]
    now: Callable[[], float]

    def pause_s(self, since: float) -> float:
        """Seconds until the next poll of a task that has been polled since then."""
        asked = self.clock() - since
        return self.every_s * next(factor for until, factor in _SLOWER if asked < until)


@dataclass(slots=True)
class _Asked:
    """What polling one task has brought so far: answers in a row of one kind."""

    unknown: int = 0
    empty: int = 0
    failed: int = 0


def follow(
    task: Task, n: int, dialect: TaskDialect, patience: Patience, *, rejoined: bool = False
) -> Conversation:
    """Ask for the task until it has ended. n: images asked for. rejoined: it was submitted by an earlier run."""
    places = poll_places(task, dialect)
    started, asked, place = patience.clock(), _Asked(), 0
    pause = 0.0 if rejoined else patience.every_s
    last = "it was never asked"
    while True:
        left = started + patience.total_s - patience.clock()
        if left <= 0:
            return Unfinished(
                FailureKind.TASK_TIMEOUT,
                f"the task did not end within {patience.total_s:g} s ({last}); the next run asks for it again",
            )
        yield Wait(min(pause, left))
        answer = yield Poll(places[place])
        pause = patience.pause_s(started)
        if isinstance(answer, Broken):
            asked.failed, last = asked.failed + 1, answer.detail
            place = (place + (asked.failed > 1)) % len(places)
            pause = min(_MOST_PAUSE_S, pause * 2.0 ** min(asked.failed, 5))
            continue
        assert isinstance(answer, Answer)
        ended, last, hint = yield from _read(answer, task, n, dialect, asked, patience)
        if ended is not None:
            return ended
        if asked.unknown:
            place = (place + 1) % len(places)
            if asked.unknown >= max(LOST_AFTER, 2 * len(places)):
                return Rejected(
                    Failure(FailureKind.TASK_LOST, f"the service no longer knows the task: {last}"),
                    None,
                    _named(task),
                )
        if asked.failed:
            pause = min(_MOST_PAUSE_S, pause * 2.0 ** min(asked.failed, 5))
        pause = max(pause, min(hint or 0.0, _MOST_PAUSE_S))


def poll_places(task: Task, dialect: TaskDialect) -> list[str]:
    """Where to ask for the task, best first: the URL that the service told, then the dialect's paths."""
    paths = [path.replace("{id}", quote(task.task_id, safe="")) for path in dialect.poll_paths]
    return list(dict.fromkeys([*([task.poll_url] if task.poll_url else []), *paths]))


def _named(task: Task) -> Reported:
    return Reported(task_id=task.task_id)


_Read = tuple[Received | Rejected | Unfinished | None, str, float | None]


def _read(
    answer: Answer, task: Task, n: int, dialect: TaskDialect, asked: _Asked, patience: Patience
) -> Generator[Step, StepResult, _Read]:
    """What one poll's answer means: the end or None, what it says, and the pause that it asks for."""
    document, _ = task_documents.parsed(answer.body)
    error = read_error(document, answer.body.text())
    hint = wait_hint(answer.headers, error.message if answer.status == 429 else "", now=patience.now())
    if answer.status in (404, 405, 410) or _says_unknown(document, error.code):
        asked.unknown += 1
        return None, f"HTTP {answer.status} {error.message[:200]}".strip(), hint
    asked.unknown = 0
    if answer.status in _KEY_REFUSED:
        kind = FailureKind.AUTH if answer.status == 401 else FailureKind.FORBIDDEN
        return Unfinished(kind, f"polling is refused: {error.message[:300]}"), "", hint
    transient = answer.status >= 500 or answer.status in _NOT_THE_TASKS
    if not transient and task_documents.is_dead(document, dialect):
        return Rejected(_death(answer, document, patience), None, _reported(document, answer, task)), "", hint
    if not 200 <= answer.status < 300 or document is None:
        asked.failed += 1
        return None, f"HTTP {answer.status} {error.message[:200]}".strip(), hint
    asked.failed = 0
    done = task_documents.is_done(document, dialect)
    found = task_documents.images(document, answer.body, dialect, ended=done)
    if found and (len(found) >= n or not task_documents.is_going(document, dialect)):
        received = []
        for item in found:
            received.append((yield from receive(item)))
        return (
            Received(tuple(received), answer.body, answer.status, _reported(document, answer, task)),
            "",
            hint,
        )
    asked.empty = asked.empty + 1 if done else 0
    if asked.empty >= EMPTY_AFTER:
        failure = Failure(
            FailureKind.BAD_CONTENT, "the task is done and shows no image", http_status=answer.status
        )
        return Rejected(failure, answer.body, _reported(document, answer, task)), "", hint
    return None, f"status {', '.join(task_documents.words(document, dialect)) or 'not told'}", hint


def receive(item: image_answers.Item) -> Generator[Step, StepResult, ReceivedImage]:
    """The image of one entry, fetched where it is at a URL."""
    if item.url is None:
        failure = Failure(FailureKind.BAD_CONTENT, item.problem) if item.problem else None
        return ReceivedImage(item.data, failure, item.revised_prompt)
    fetched = yield Fetch(item.url)
    if isinstance(fetched, Failure):
        return ReceivedImage(None, fetched, item.revised_prompt)
    assert fetched is not None and not isinstance(fetched, Answer | Broken)
    return ReceivedImage(fetched, None, item.revised_prompt)


def _says_unknown(document: Any, code: str | None) -> bool:
    """Whether a document under another status says by its code that there is no such task."""
    return code is not None and "task" in code and _UNKNOWN_TASK.search(code) is not None


def _death(answer: Answer, document: Any, patience: Patience) -> Failure:
    """The failure of a task that ended without images: moderation where it says so, else `task_failed`."""
    told = task_documents.error_of(document)
    failure = refused(
        400, answer.headers, told, answer.body.text(), now=patience.now(), server_error_billed=Billed.MAYBE
    )
    kind = FailureKind.MODERATION if failure.kind is FailureKind.MODERATION else FailureKind.TASK_FAILED
    return replace(failure, kind=kind, http_status=answer.status, retry_after_s=None, billed=None)


def _reported(document: Any, answer: Answer, task: Task) -> Reported:
    """What the document says of usage and cost, at its top or inside, and the task's id."""
    top = image_answers.reported(document, answer.headers)
    for name in ("data", "result", "output"):
        inner = image_answers.reported(task_documents.dig(document, name), {})
        top = top._replace(
            **{
                field: getattr(inner, field)
                for field in ("created", "input_tokens", "output_tokens", "cost_usd")
                if getattr(top, field) is None
            },
        )
    return top._replace(task_id=task.task_id)
