"""The shape of a conversation: a generator that yields steps, is sent their results, and returns what it came to."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

from runner.http.messages import Answer, Body, Broken, Pieces
from schemas.failures import Failure
from schemas.outcome import NOTHING_REPORTED, Reported, Task, Unfinished


@dataclass(frozen=True, slots=True)
class Send:
    """POST the request to this path below the base URL. Its result is an `Answer` or `Broken`."""

    path: str
    body: dict[str, object]
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Make the task durable: it is paid for, and must never be submitted again. Its result is None."""

    task: Task


@dataclass(frozen=True, slots=True)
class Wait:
    """Sleep so many seconds. Its result is None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Poll:
    """GET what the service says of a task; free. Its result is an `Answer` or `Broken`."""

    url: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """GET an image. Its result is the bytes in pieces, or the `Failure` after every retry that is free."""

    url: str


class ReceivedImage(NamedTuple):
    """One item of a paid answer: its bytes, or why there are none. revised_prompt: None where absent."""

    data: Pieces | None
    failure: Failure | None = None
    revised_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A whole, paid answer. body: for quarantine, should it hold nothing usable."""

    items: tuple[ReceivedImage, ...]
    body: Body
    http_status: int
    reported: Reported = NOTHING_REPORTED


@dataclass(frozen=True, slots=True)
class Rejected:
    """No usable answer. body: the paid body to keep verbatim; None when nothing was paid or nothing came."""

    failure: Failure
    body: Body | None = None
    reported: Reported = NOTHING_REPORTED


Step = Send | Checkpoint | Wait | Poll | Fetch
StepResult = Answer | Broken | Pieces | Failure | None
Result = Received | Rejected | Unfinished
Conversation = Generator[Step, StepResult, Result]
