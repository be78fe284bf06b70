"""What a request came to, before anything of it is saved: a paid answer, a refusal, or a task that goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.failures import Failure
from schemas.outcome import NOTHING_REPORTED, Link, Reported, Unfetched, Unfinished

Pieces = tuple[bytes, ...]
"""Bytes in the pieces in which they arrived; megabytes are never put together."""


class PaidBody(Protocol):
    """The body of an answer, as far as it must be kept when nothing in it can be used."""

    @property
    def images(self) -> Sequence[object]:
        """The base64 images that were lifted out of it."""

    def verbatim(self) -> Iterator[bytes]:
        """The body as it was received, in pieces."""


@dataclass(frozen=True, slots=True)
class ReceivedImage:
    """One item of a paid answer: its bytes, or why there are none.

    revised_prompt: None where absent. link: the URL that the bytes come from; they are not in the answer's body then.
    Without bytes and without a failure the link has not been tried.
    """

    data: Pieces | None
    failure: Failure | None = None
    revised_prompt: str | None = None
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A whole, paid answer.

    body: for quarantine, should it hold nothing usable. more: images that it holds beyond `items`.
    unfetched: its images behind URLs, as they were made durable; `items` are those alone when it came in an earlier run,
    or was tried before. flags: of the answer.
    """

    items: tuple[ReceivedImage, ...]
    body: PaidBody
    http_status: int
    reported: Reported = NOTHING_REPORTED
    more: int = 0
    unfetched: Unfetched | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """No usable answer. body: the paid body to keep verbatim; None when nothing was paid or nothing came."""

    failure: Failure
    body: PaidBody | None = None
    reported: Reported = NOTHING_REPORTED


Result = Received | Rejected | Unfinished
