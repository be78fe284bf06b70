"""A manifest row on its way to a request: either a `Row` that can be sent or a `RowProblem` that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas.request import ImageRequest


class Row(NamedTuple):
    """A row that can be sent.

    position: in the manifest, from 0.
    row_id: the manifest's own id, or one derived from the content; unique in the manifest.
    fingerprint: 16 bytes, a hash of `row_id` and of what the row itself asks for (prompt and row-level fields).
    warnings: unfamiliar but sendable values, as text.
    manifest_prompt: the manifest's prompt where `retry` sends another one; None: the request's.
    edition: raised when an image that exists already is requested again, so that the request gets another idempotency key.
    """

    # A NamedTuple although it is in a union: one is made for each of ten million rows. As a frozen dataclass, reading
    # records into rows takes 15 % longer (`RowReader.read`: 10.5 -> 12.0 us a row, paired on one busy machine).
    # `RowProblem` is no tuple, so the two are never equal.

    position: int
    row_id: str
    request: ImageRequest
    fingerprint: bytes
    warnings: tuple[str, ...] = ()
    manifest_prompt: str | None = None
    edition: int = 0

    @property
    def own_prompt(self) -> str:
        """The prompt as the manifest has it."""
        return self.request.prompt if self.manifest_prompt is None else self.manifest_prompt


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that cannot be sent. `message` names line, column, value and fix, and is ready to show.

    fields: the row's request fields as far as they could be read (column name to text), for the results table.
    """

    position: int
    row_id: str
    prompt: str | None
    message: str
    fields: tuple[tuple[str, str], ...] = ()
