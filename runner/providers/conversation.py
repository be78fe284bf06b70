"""The shape of a conversation: a generator that yields steps, is sent their results, and returns what it came to."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from runner.http.messages import Answer, BrokenExchange
from schemas.failures import Failure
from schemas.outcome import OpenWork
from schemas.received import Pieces, Result


@dataclass(frozen=True, slots=True)
class Send:
    """POST the request to this path below the base URL. Its result is an `Answer` or `BrokenExchange`."""

    path: str
    body: dict[str, object]
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Make what was promised durable: it is paid for, and must never be asked for again. Its result is None."""

    task: OpenWork


@dataclass(frozen=True, slots=True)
class Wait:
    """Sleep so many seconds. Its result is None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Poll:
    """GET what the service says of a task; free. Its result is an `Answer` or `BrokenExchange`."""

    url: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """GET an image. Its result is the bytes in pieces, or the `Failure` after some tries."""

    url: str


Step = Send | Checkpoint | Wait | Poll | Fetch
StepResult = Answer | BrokenExchange | Pieces | Failure | None
Conversation = Generator[Step, StepResult, Result]
