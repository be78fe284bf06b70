"""A received answer lands: images checked and saved, what cannot be used kept verbatim, the outcome told as a value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import NamedTuple, Protocol, TypeVar

from jobs.naming import quarantine_name, slug
from runner.artifacts.atomic_files import Folder, keep
from runner.artifacts.image_store import Asked, Label, NotAnImage
from runner.http.messages import Pieces
from runner.process.redaction import Redactor
from runner.providers.conversation import Received, ReceivedImage, Rejected
from schemas.failures import Failure, FailureKind
from schemas.outcome import Failed, MissingImage, Outcome, SavedImage, Success
from schemas.row import Row

T = TypeVar("T")

_BEYOND = 1000
"""Images that nobody asked for, of a request for some of a row's images only, are numbered from here."""


class Persist(Protocol):
    """Saves, and again until that succeeds; gives up only when the run is cut short, with the save's OSError."""

    def save(self, save: Callable[[], T], /) -> Awaitable[T]:
        """Run a blocking save."""

    def image(self, pieces: Pieces, asked: Asked, label: Label) -> Awaitable[SavedImage]:
        """Save an image. Raises NotAnImage."""


class Landing(NamedTuple):
    """Where answers land."""

    folder: Folder
    persist: Persist
    redactor: Redactor

    async def land(
        self,
        result: Received | Rejected,
        row: Row,
        attempt: int,
        indexes: tuple[int, ...] | None = None,
    ) -> Outcome:
        """The outcome, once everything it speaks of is durable.

        indexes: which of the row's images were asked for; None means all.
        """
        if isinstance(result, Rejected):
            return await self._rejected(result, row, attempt)
        landed = [
            await self._item(item, row, attempt, _index(place, indexes))
            for place, item in enumerate(result.items)
        ]
        saved = tuple(entry for entry in landed if isinstance(entry, SavedImage))
        missing = [entry for entry in landed if isinstance(entry, MissingImage)]
        quarantined = await self._keep_unusable(result, landed, row, attempt)
        asked = row.request.n
        if not saved:
            first = missing[0]
            failure = Failure(first.kind, first.message, http_status=result.http_status)
            return Failed(failure, result.reported, quarantined)
        flags = _count_flags(len(landed), asked)
        missing += [
            MissingImage(
                _index(place, indexes),
                FailureKind.BAD_CONTENT,
                f"the answer held {len(landed)} of {asked} images",
            )
            for place in range(len(landed), asked)
        ]
        return Success(saved, tuple(missing), result.reported, result.http_status, flags)

    async def _rejected(self, result: Rejected, row: Row, attempt: int) -> Failed:
        quarantined = None
        if result.body is not None and result.failure.kind is FailureKind.BAD_CONTENT:
            quarantined = await self._quarantine(
                result.body.verbatim(), row, quarantine_name(attempt, row.row_id)
            )
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
            saved = await self.persist.image(item.data, Asked.of(row.request), label)
            return saved if revised is None else replace(saved, revised_prompt=revised)
        except NotAnImage as problem:
            return MissingImage(index, FailureKind.BAD_CONTENT, self.redactor.text(str(problem)), revised)

    async def _keep_unusable(
        self, result: Received, landed: list[SavedImage | MissingImage], row: Row, attempt: int
    ) -> str | None:
        """Keep paid bytes that are no image. A link is not kept: it is signed, and its image is what was paid for."""
        bad = [
            place
            for place, entry in enumerate(landed)
            if isinstance(entry, MissingImage) and entry.kind is FailureKind.BAD_CONTENT
        ]
        if not bad:
            return None
        name = quarantine_name(attempt, row.row_id)
        fetched = [data for i in bad if (data := result.items[i].data) is not None]
        if fetched and not result.body.images:
            return await self._quarantine(chain.from_iterable(fetched), row, name)
        return await self._quarantine(result.body.verbatim(), row, name)

    async def _quarantine(self, pieces: Iterable[bytes], row: Row, name: str) -> str:
        kept = list(pieces)

        def save() -> str:
            return keep(self.folder, name, lambda: self.redactor.key_pieces(kept), private=True)

        return await self.persist.save(save)


def _index(place: int, indexes: tuple[int, ...] | None) -> int:
    """Which of the row's images stands at this place of the answer; those beyond what was asked come after all."""
    if indexes is None:
        return place
    return indexes[place] if place < len(indexes) else _BEYOND + place


def _count_flags(received: int, asked: int) -> tuple[str, ...]:
    if received > asked:
        return ("extra_images",)
    return ("fewer_images",) if received < asked else ()
