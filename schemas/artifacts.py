"""Image files before they are saved: what was asked for, and what the file is named after."""

from __future__ import annotations

from typing import NamedTuple

from schemas.request import ImageRequest

_MOST_CHARS = 100
"""Of a format or size that was asked for; no picture has what is longer."""


class NotAnImage(Exception):
    """The bytes are no whole image that may be kept; the message says why."""


class Asked(NamedTuple):
    """What an image was asked for as; None where nothing was said. size: as in the request."""

    output_format: str | None
    size: str | None

    @staticmethod
    def of(request: ImageRequest) -> Asked:
        """What the request says."""
        asked_format, size = (
            None if value is None else str(value)[:_MOST_CHARS]
            for value in (request.get("output_format"), request.get("size"))
        )
        return Asked(asked_format, size)


class Label(NamedTuple):
    """What an image's file is named after. image: its index among the row's. slug: the row's id, shortened."""

    attempt: int
    image: int
    slug: str
