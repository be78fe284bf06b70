"""Polls a task, which is free, until it has images, failed, vanished or took too long.

A poll that fails is not a task that failed: whatever does not speak of the task is asked again, more slowly. Where every
place refuses to be asked, the polling ends; the task itself goes on, and the next run asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import quote

from jobs.classify import classify_refusal
from jobs.error_documents import read_error
from jobs.error_words import is_content
from jobs.rate_headers import wait_hint
from runner.http.messages import Answer, BrokenExchange
from runner.providers import image_answers, image_places, task_documents
from runner.providers.answer_forms import AnswerForm, form_of
from runner.providers.conversation import Conversation, Poll, Step, StepResult, Wait
from runner.providers.image_answers import ImageEntry
from runner.providers.image_links import receive_images
from schemas.failures import Billed, Failure, FailureKind
from schemas.outcome import Reported, Task, Unfinished
from schemas.received import Received, Rejected
from schemas.task_dialects import TaskDialect

LOST_AFTER = 5
"""The task is lost after so many answers in a row that know of no such task, at least two from each URL."""
EMPTY_AFTER = 3
"""A task that is reported as done but shows no image is polled so often."""
_SLOWER = ((60.0, 1.0), (180.0, 2.0), (float("inf"), 3.0))
"""Seconds since polling began -> how many times the usual pause."""
_MOST_PAUSE_S = 60.0
_UNKNOWN_TASK = re.compile(r"not[_ ]?found|no such|not[_ ]exist|unknown[_ ]task|expired", re.IGNORECASE)
_REFUSED = {401: FailureKind.AUTH, 403: FailureKind.FORBIDDEN, 422: FailureKind.TASK_TIMEOUT}
_NOT_SAID = (*_REFUSED, 404, 405, 410)
"""Statuses of a place that refuses to be asked, or does not know the task: another place may know it."""
_NOT_THE_TASKS = (408, 425, 429)
"""With 5xx: statuses that concern the poll and never the task, whatever their documents say."""


class PollTiming(NamedTuple):
    """every_s: the usual pause between polls. total_s: polling one task in one run. clock: monotonic seconds."""

    every_s: float
    total_s: float
    clock: Callable[[], float]
    now: Callable[[], float]

    def pause_s(self, since: float) -> float:
        """Seconds until the next poll of a task that has been polled since then."""
        elapsed = self.clock() - since
        return self.every_s * next(factor for until, factor in _SLOWER if elapsed < until)


@dataclass(slots=True)
class _PollCounts:
    """What polling one task has brought so far: answers in a row of one kind.

    elsewhere: those that know no such task, or refuse to say; refused: the last of the latter, None without one.
    """

    elsewhere: int = 0
    refused: FailureKind | None = None
    empty: int = 0
    failed: int = 0


def follow_task(
    task: Task, n: int, dialect: TaskDialect, timing: PollTiming, *, rejoined: bool = False
) -> Conversation:
    """Poll the task until it has ended. n: images asked for. rejoined: it was submitted by an earlier run."""
    urls = poll_urls(task, dialect)
    started, counts, turn = timing.clock(), _PollCounts(), 0
    pause = 0.0 if rejoined else timing.every_s
    last = "it was never asked"
    while True:
        left = started + timing.total_s - timing.clock()
        if left <= 0:
            return Unfinished(
                FailureKind.TASK_TIMEOUT,
                f"the task did not end within {timing.total_s:g} s ({last}); the next run asks for it again",
            )
        yield Wait(min(pause, left))
        answer = yield Poll(urls[turn])
        pause = timing.pause_s(started)
        if isinstance(answer, BrokenExchange):
            counts.failed, last = counts.failed + 1, answer.detail
            turn = (turn + (counts.failed > 1)) % len(urls)
            pause = min(_MOST_PAUSE_S, pause * 2.0 ** min(counts.failed, 5))
            continue
        assert isinstance(answer, Answer)
        ended, last, hint = yield from _read(answer, task, n, dialect, counts, timing)
        if ended is not None:
            return ended
        if counts.elsewhere:
            turn = (turn + 1) % len(urls)
            if counts.elsewhere >= max(LOST_AFTER, 2 * len(urls)):
                return _unknown_or_refused(task, counts, last)
        if counts.failed:
            pause = min(_MOST_PAUSE_S, pause * 2.0 ** min(counts.failed, 5))
        pause = max(pause, min(hint or 0.0, _MOST_PAUSE_S))


def _unknown_or_refused(task: Task, counts: _PollCounts, last: str) -> Rejected | Unfinished:
    """What a task is that no place speaks of: lost, unless a place refused to say."""
    if counts.refused is not None:
        return Unfinished(counts.refused, f"polling is refused: {last}; the next run asks for it again")
    failure = Failure(FailureKind.TASK_LOST, f"the service no longer knows the task: {last}")
    return Rejected(failure, None, _named(task))


def poll_urls(task: Task, dialect: TaskDialect) -> list[str]:
    """The URLs to poll for the task, best first: the one that the service gave, then the dialect's paths."""
    paths = [path.replace("{id}", quote(task.task_id, safe="")) for path in dialect.poll_paths]
    return list(dict.fromkeys([*([task.poll_url] if task.poll_url else []), *paths]))


def _named(task: Task) -> Reported:
    return Reported(task_id=task.task_id)


_Read = tuple[Received | Rejected | Unfinished | None, str, float | None]


def _read(
    answer: Answer, task: Task, n: int, dialect: TaskDialect, counts: _PollCounts, timing: PollTiming
) -> Generator[Step, StepResult, _Read]:
    """What one poll's answer means: the end or None, what it says, and the pause that it asks for."""
    form = form_of(answer)
    document = form.document
    error = read_error(document, answer.body.text())
    hint = wait_hint(answer.headers, error.message if answer.status == 429 else "", now=timing.now())
    detail = f"HTTP {answer.status} {error.message[:200]}".strip()
    if answer.status in _NOT_SAID or _says_unknown(document, error.code, dialect):
        counts.elsewhere += 1
        counts.refused = _REFUSED.get(answer.status, counts.refused)
        return None, detail, hint
    counts.elsewhere, counts.refused = 0, None
    transient = answer.status >= 500 or answer.status in _NOT_THE_TASKS
    other = task_documents.other_id(document, task.task_id)
    if other is not None and not transient:
        counts.failed += 1
        return None, f"the answer is of another task ({other[:60]})", hint
    if not transient and task_documents.is_dead(document, dialect):
        failure = task_failure(answer, document, dialect, timing)
        return Rejected(failure, None, _reported(document, answer, task)), "", hint
    if not 200 <= answer.status < 300 or (document is None and not form.images):
        counts.failed += 1
        return None, detail, hint
    counts.failed = 0
    done = task_documents.is_done(document, dialect)
    found = images_of(form, answer, dialect, done=done)
    if found and (len(found) >= n or not task_documents.is_going(document, dialect)):
        reported, now_ms = _reported(document, answer, task), int(timing.now() * 1000)
        return (yield from receive_images(found, n, answer, reported, now_ms)), "", hint
    counts.empty = counts.empty + 1 if done else 0
    if counts.empty >= EMPTY_AFTER:
        failure = Failure(
            FailureKind.BAD_CONTENT, "the task is done and shows no image", http_status=answer.status
        )
        return Rejected(failure, answer.body, _reported(document, answer, task)), "", hint
    return None, f"status {', '.join(task_documents.status_words(document, dialect)) or 'not given'}", hint


def images_of(form: AnswerForm, answer: Answer, dialect: TaskDialect, *, done: bool) -> Sequence[ImageEntry]:
    """The images of a poll's answer, wherever they stand once it no longer says that the task goes on."""
    found = form.images or task_documents.task_images(form.document, answer.body, dialect, ended=done)
    if found or task_documents.is_going(form.document, dialect):
        return found
    return image_places.images(form.document, answer.body)


def _says_unknown(document: Any, code: str | None, dialect: TaskDialect) -> bool:
    """Whether a document under another status says, by its code or its status word, that there is no such task."""
    words = [*task_documents.status_words(document, dialect), *([code] if code else [])]
    return any("task" in word and _UNKNOWN_TASK.search(word) for word in words)


def task_failure(answer: Answer, document: Any, dialect: TaskDialect, timing: PollTiming) -> Failure:
    """The failure of a task that ended without images: moderation where it says so, else `task_failed`."""
    error = task_documents.error_of(document)
    failure = classify_refusal(
        400, answer.headers, error, answer.body.text(), now=timing.now(), server_error_billed=Billed.MAYBE
    )
    words = set(task_documents.status_words(document, dialect))
    moderated = failure.kind is FailureKind.MODERATION or is_content(words, None, "")
    kind = FailureKind.MODERATION if moderated else FailureKind.TASK_FAILED
    return replace(failure, kind=kind, http_status=answer.status, retry_after_s=None, billed=None)


def _reported(document: Any, answer: Answer, task: Task) -> Reported:
    """What the document says of usage and cost, at its top or inside, and the task's id."""
    top = image_answers.reported(document, answer.headers)
    for name in ("data", "result", "output"):
        inner = image_answers.reported(task_documents.value_at(document, name), {})
        top = top._replace(
            **{
                field: getattr(inner, field)
                for field in ("created", "input_tokens", "output_tokens", "cost_usd")
                if getattr(top, field) is None
            },
        )
    return top._replace(task_id=task.task_id)
