"""What the parts of an image say before a pixel of it is decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from schemas.artifacts import NotAnImage


class Structure(NamedTuple):
    """A whole file, as far as its parts tell.

    width, height: pixels; None for a drawing. effort_ns: CPU that decoding it takes at most, roughly.
    decode: reads every pixel, and tells whether all are of one colour. Raises NotAnImage, or whatever a decoder raises.
    """

    width: int | None
    height: int | None
    flags: tuple[str, ...]
    effort_ns: int
    decode: Callable[[], bool]


def broken(why: str) -> NotAnImage:
    """An image that is not whole, to raise."""
    return NotAnImage(f"the image does not decode: {why}")


def trailing(data: bytes, end: int) -> tuple[str, ...]:
    """The flag of a file that goes on after the image's end."""
    return ("trailing_bytes",) if end < len(data) else ()
