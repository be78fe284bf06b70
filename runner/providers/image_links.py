"""The images of an answer, those behind URLs fetched: at once, or later by this run or another one."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from runner.http.messages import Answer, BrokenExchange
from runner.providers.conversation import Checkpoint, Conversation, Fetch, Step, StepResult
from runner.providers.image_answers import ImageEntry
from schemas.failures import Failure, FailureKind
from schemas.outcome import Link, Reported, Unfetched
from schemas.received import Received, ReceivedImage

MOST_PER_IMAGE = 10
"""So many images are taken for each that was asked for; what a service sends beyond is kept as it came."""


class _NoBody(NamedTuple):
    """The body of an answer that an earlier run has read."""

    images: Sequence[object] = ()

    def verbatim(self) -> Iterator[bytes]:
        """Nothing is left of it."""
        return iter(())


def receive_images(
    found: Sequence[ImageEntry], n: int, answer: Answer, reported: Reported, now_ms: int
) -> Generator[Step, StepResult, Received]:
    """The images of an answer, each fetched where it is at a URL; of far more than the n asked for, the first.

    URLs are durable before the first is fetched. Beside images that are in hand they are left for later, so that those
    are saved first.
    """
    entries = found[: MOST_PER_IMAGE * n]
    links = {
        position: Link(position, item.url, item.revised_prompt)
        for position, item in enumerate(entries)
        if item.url is not None
    }
    more = len(found) - len(entries)
    unfetched = None
    if links:
        unfetched = Unfetched(tuple(links.values()), len(entries), more, answer.status, reported, now_ms)
        yield Checkpoint(unfetched)
    in_hand = any(item.data is not None for item in entries)
    taken = []
    for position, item in enumerate(entries):
        if (link := links.get(position)) is None:
            kind = FailureKind.MODERATION if item.refused else FailureKind.BAD_CONTENT
            failure = Failure(kind, item.problem) if item.problem else None
            taken.append(ReceivedImage(item.data, failure, item.revised_prompt))
        elif in_hand:
            taken.append(ReceivedImage(None, None, item.revised_prompt, link))
        else:
            taken.append((yield from _fetched(link)))
    flags = ("unterminated",) if answer.unterminated else ()
    return Received(tuple(taken), answer.body, answer.status, reported, more, unfetched, flags)


def fetch_again(unfetched: Unfetched) -> Conversation:
    """Fetch the images of an answer that came before."""
    taken = []
    for link in unfetched.links:
        taken.append((yield from _fetched(link)))
    status, reported = unfetched.http_status, unfetched.reported
    return Received(tuple(taken), _NoBody(), status, reported, unfetched=unfetched)


def _fetched(link: Link) -> Generator[Step, StepResult, ReceivedImage]:
    fetched = yield Fetch(link.url)
    if isinstance(fetched, Failure):
        return ReceivedImage(None, fetched, link.revised_prompt, link)
    assert fetched is not None and not isinstance(fetched, Answer | BrokenExchange)
    return ReceivedImage(fetched, None, link.revised_prompt, link)
