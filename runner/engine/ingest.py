"""Ingest of a received answer: images checked and saved, what cannot be used quarantined, the outcome as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from jobs.downloads import after_failure
from jobs.naming import slug
from jobs.state import image_index
from runner.engine.durable_io import DurableIO
from runner.process.clock import wall_ms
from runner.process.crash_points import crash_point
from runner.process.redaction import Redactor
from schemas.artifacts import BeyondLimits, Label, NotAnImage, RequestedFormat, SpoolNote
from schemas.errors import JobError
from schemas.failures import Failure, FailureKind
from schemas.outcome import Failed, KeptBody, Link, MissingImage, Outcome, SavedImage, Spooled, Success
from schemas.received import Received, Rejected
from schemas.row import Row

_Taken = SavedImage | MissingImage | Spooled | Link
"""What became of one image of an answer."""


class Ingest(NamedTuple):
    """Turns received answers into outcomes. wall_ms: Unix milliseconds."""

    durable: DurableIO
    redactor: Redactor
    wall_ms: Callable[[], int] = wall_ms

    async def ingest(
        self,
        result: Received | Rejected,
        row: Row,
        attempt: int,
        indexes: tuple[int, ...] | None = None,
    ) -> Outcome | Spooled:
        """The outcome, once everything it speaks of is durable.

        indexes: which of the row's images were asked for; None means all.
        """
        crash_point("answer received")
        if isinstance(result, Rejected):
            return await self._rejected(result, row, attempt)
        taken = [
            await self._item(result, position, row, attempt, indexes) for position in range(len(result.items))
        ]
        saved = tuple(entry for entry in taken if isinstance(entry, SavedImage))
        missing = [entry for entry in taken if isinstance(entry, MissingImage)]
        quarantined = await self._keep_unusable(result, taken, row, attempt)
        for entry in (*taken, quarantined):
            if isinstance(entry, Spooled):
                return entry
        assert not isinstance(quarantined, Spooled)
        before = result.unfetched
        kept = len(saved) + (0 if before is None else before.saved or 0)
        links = tuple(entry for entry in taken if isinstance(entry, Link))
        left = None if before is None or not links else replace(before, links=links, saved=kept)
        if not kept:
            first = links[0] if links else missing[0]
            failure = Failure(first.kind, first.message, http_status=result.http_status)
            return Failed(failure, result.reported, quarantined, left)
        count, more = (len(taken), result.more) if before is None else (before.count, before.more)
        if before is None or not before.saved:
            missing += _never_came(count, row.request.n, indexes)
        return Success(
            saved,
            tuple(missing),
            result.reported,
            result.http_status,
            (*result.flags, *_count_flags(count + more, row.request.n)),
            kept + len(links) + more,
            quarantined,
            left,
        )

    async def _rejected(self, result: Rejected, row: Row, attempt: int) -> Failed | Spooled:
        if result.body is None:
            return Failed(result.failure, result.reported)
        note = SpoolNote(result.reported, result.failure.http_status, None, True, result.failure.message)
        label = Label(attempt, 0, slug(row.row_id))
        quarantined = await self._quarantine(result.body.verbatim(), label, note)
        if isinstance(quarantined, Spooled):
            return quarantined
        return Failed(result.failure, result.reported, quarantined)

    async def _item(
        self, result: Received, position: int, row: Row, attempt: int, indexes: tuple[int, ...] | None
    ) -> SavedImage | MissingImage | Spooled | Link:
        item = result.items[position]
        link = item.link
        index = image_index(position if link is None else link.position, indexes)
        revised = self.redactor.keys(item.revised_prompt) if item.revised_prompt else None
        if item.data is None:
            failure = item.failure or Failure(FailureKind.BAD_CONTENT, "no image in this entry")
            if (left := self._left(result, link, item.failure)) is not None:
                return left
            return MissingImage(index, failure.kind, failure.message, revised)
        label = Label(attempt, index, slug(row.row_id))
        try:
            data, requested, store = item.data, RequestedFormat.of_request(row.request), self.durable.store
            note = SpoolNote(result.reported, result.http_status, revised)
            saved = await self.durable.keep_or_spool(
                lambda: store.save_image(data, requested, label), lambda: store.spool(label, data, note)
            )
            if isinstance(saved, Spooled):
                return saved
            return saved if revised is None else replace(saved, revised_prompt=revised)
        except NotAnImage as problem:
            text = self.redactor.text(str(problem))
            failure = Failure(FailureKind.DOWNLOAD, f"the image's URL gave something else: {text}")
            left = None if isinstance(problem, BeyondLimits) else self._left(result, link, failure)
            return left or MissingImage(index, FailureKind.BAD_CONTENT, text, revised)
        except (OSError, JobError):
            raise  # this machine's trouble, which is no answer's
        except Exception as error:  # noqa: BLE001 - whatever bytes do to a check is an outcome of their row
            detail = self.redactor.text(
                f"the image cannot be checked ({type(error).__name__}: {error})"[:300]
            )
            return MissingImage(index, FailureKind.BAD_CONTENT, detail, revised)

    def _left(self, result: Received, link: Link | None, failure: Failure | None) -> Link | None:
        """The link as it is kept; None where there is none, or it is dead. failure: None where it was not tried."""
        if link is None or result.unfetched is None or failure is None:
            return link
        since_ms = result.unfetched.since_ms
        return after_failure(link, failure, since_ms=since_ms, now_ms=self.wall_ms())

    async def _keep_unusable(
        self, result: Received, taken: Sequence[_Taken], row: Row, attempt: int
    ) -> KeptBody | Spooled | None:
        """Keep paid bytes that are no image. A link is not kept: it is signed, and its image is what was paid for."""
        bad = [
            position
            for position, entry in enumerate(taken)
            if isinstance(entry, MissingImage) and entry.kind is FailureKind.BAD_CONTENT
        ]
        if not bad and not result.more:
            return None
        label = Label(attempt, 0, slug(row.row_id))
        problem = next((entry.message for entry in taken if isinstance(entry, MissingImage)), "")
        note = SpoolNote(result.reported, result.http_status, None, True, problem)
        fetched = [data for i in bad if result.items[i].link and (data := result.items[i].data) is not None]
        if len(fetched) == len(bad) and not result.more:
            return await self._quarantine(chain.from_iterable(fetched), label, note)
        body = chain(result.body.verbatim(), chain.from_iterable(fetched))
        return await self._quarantine(body, label, note)

    async def _quarantine(self, pieces: Iterable[bytes], label: Label, note: SpoolNote) -> KeptBody | Spooled:
        kept, store, redactor = list(pieces), self.durable.store, self.redactor
        return await self.durable.keep_or_spool(
            lambda: store.quarantine(label, redactor.body_pieces(kept)),
            lambda: store.spool(label, redactor.body_pieces(kept), note),
        )


def _never_came(count: int, asked: int, indexes: tuple[int, ...] | None) -> list[MissingImage]:
    """The images that an answer with fewer than were asked for lacks."""
    message = f"the answer held {count} of {asked} images"
    return [
        MissingImage(image_index(position, indexes), FailureKind.BAD_CONTENT, message)
        for position in range(count, asked)
    ]


def _count_flags(received: int, asked: int) -> tuple[str, ...]:
    if received > asked:
        return ("extra_images",)
    return ("fewer_images",) if received < asked else ()
