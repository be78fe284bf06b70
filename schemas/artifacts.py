"""Image files before they are saved: what was asked for, and what the file is named after."""

from __future__ import annotations

from typing import NamedTuple

from schemas.outcome import Reported
from schemas.request import ImageRequest

_MOST_CHARS = 100
"""Of a format or size that was asked for; no picture has what is longer."""


class NotAnImage(Exception):
    """The bytes are no whole image that may be kept; the message says why."""


class BeyondLimits(NotAnImage):
    """They are an image, of a size that the user does not allow."""


class RequestedFormat(NamedTuple):
    """The format and size in a request; None if not set. size: as in the request."""

    output_format: str | None
    size: str | None

    @staticmethod
    def of_request(request: ImageRequest) -> RequestedFormat:
        """The format and size of this request."""
        asked_format, size = (
            None if value is None else str(value)[:_MOST_CHARS]
            for value in (request.get("output_format"), request.get("size"))
        )
        return RequestedFormat(asked_format, size)


class Check(NamedTuple):
    """What is asked of an image. max_pixels: one with more is refused. decode: its pixels are decoded too."""

    max_pixels: int
    decode: bool = True


class SpoolNote(NamedTuple):
    """What goes with spooled bytes, so that the next run can record their outcome as this one would have.

    is_body: the bytes are a body for quarantine, in which `message` says that there is no image.
    """

    reported: Reported
    http_status: int | None
    revised_prompt: str | None = None
    is_body: bool = False
    message: str = ""


class Label(NamedTuple):
    """What an image's file is named after. image: its index among the row's. slug: the row's id, shortened."""

    attempt: int
    image: int
    slug: str
