"""Ingest of a received answer: images checked and saved, what cannot be used quarantined, the outcome as a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from jobs.naming import slug
from runner.engine.durable_io import DurableIO
from runner.process.crash_points import crash_point
from runner.process.redaction import Redactor
from schemas.artifacts import Asked, Label, NotAnImage
from schemas.failures import Failure, FailureKind
from schemas.outcome import Failed, MissingImage, Outcome, SavedImage, Success
from schemas.received import Received, ReceivedImage, Rejected
from schemas.row import Row

_BEYOND = 1000
"""Images that nobody asked for, of a request for some of a row's images only, are numbered from here."""


class Ingest(NamedTuple):
    """Takes answers in."""

    durable: DurableIO
    redactor: Redactor

    async def ingest(
        self,
        result: Received | Rejected,
        row: Row,
        attempt: int,
        indexes: tuple[int, ...] | None = None,
    ) -> Outcome:
        """The outcome, once everything it speaks of is durable.

        indexes: which of the row's images were asked for; None means all.
        """
        crash_point("answer received")
        if isinstance(result, Rejected):
            return await self._rejected(result, row, attempt)
        taken = [
            await self._item(item, row, attempt, _index(place, indexes))
            for place, item in enumerate(result.items)
        ]
        saved = tuple(entry for entry in taken if isinstance(entry, SavedImage))
        missing = [entry for entry in taken if isinstance(entry, MissingImage)]
        quarantined = await self._keep_unusable(result, taken, row, attempt)
        asked = row.request.n
        if not saved:
            first = missing[0]
            failure = Failure(first.kind, first.message, http_status=result.http_status)
            return Failed(failure, result.reported, quarantined)
        flags = _count_flags(len(taken), asked)
        missing += [
            MissingImage(
                _index(place, indexes),
                FailureKind.BAD_CONTENT,
                f"the answer held {len(taken)} of {asked} images",
            )
            for place in range(len(taken), asked)
        ]
        return Success(saved, tuple(missing), result.reported, result.http_status, flags)

    async def _rejected(self, result: Rejected, row: Row, attempt: int) -> Failed:
        quarantined = None
        if result.body is not None and result.failure.kind is FailureKind.BAD_CONTENT:
            quarantined = await self._quarantine(result.body.verbatim(), Label(attempt, 0, slug(row.row_id)))
        return Failed(result.failure, result.reported, quarantined)

    async def _item(
        self, item: ReceivedImage, row: Row, attempt: int, index: int
    ) -> SavedImage | MissingImage:
        revised = self.redactor.keys(item.revised_prompt) if item.revised_prompt else None
        if item.data is None:
            failure = item.failure or Failure(FailureKind.BAD_CONTENT, "no image in this entry")
            return MissingImage(index, failure.kind, failure.message, revised)
        label = Label(attempt, index, slug(row.row_id))
        try:
            data, asked = item.data, Asked.of(row.request)
            saved = await self.durable.keep(lambda: self.durable.store.save_image(data, asked, label))
            return saved if revised is None else replace(saved, revised_prompt=revised)
        except NotAnImage as problem:
            return MissingImage(index, FailureKind.BAD_CONTENT, self.redactor.text(str(problem)), revised)

    async def _keep_unusable(
        self, result: Received, taken: list[SavedImage | MissingImage], row: Row, attempt: int
    ) -> str | None:
        """Keep paid bytes that are no image. A link is not kept: it is signed, and its image is what was paid for."""
        bad = [
            place
            for place, entry in enumerate(taken)
            if isinstance(entry, MissingImage) and entry.kind is FailureKind.BAD_CONTENT
        ]
        if not bad:
            return None
        label = Label(attempt, 0, slug(row.row_id))
        fetched = [data for i in bad if (data := result.items[i].data) is not None]
        if fetched and not result.body.images:
            return await self._quarantine(chain.from_iterable(fetched), label)
        return await self._quarantine(result.body.verbatim(), label)

    async def _quarantine(self, pieces: Iterable[bytes], label: Label) -> str:
        kept = list(pieces)
        return await self.durable.keep(
            lambda: self.durable.store.quarantine(label, self.redactor.key_pieces(kept))
        )


def _index(place: int, indexes: tuple[int, ...] | None) -> int:
    """Which of the row's images stands at this place of the answer; those beyond what was asked come after all."""
    if indexes is None:
        return place
    return indexes[place] if place < len(indexes) else _BEYOND + place


def _count_flags(received: int, asked: int) -> tuple[str, ...]:
    if received > asked:
        return ("extra_images",)
    return ("fewer_images",) if received < asked else ()
