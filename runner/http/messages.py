"""What a request over HTTP comes to, as values: an answer with its body, or how far it got."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pybase64

from jobs.classify import BreakKind
from schemas.received import Pieces

LIFTED = "lifted:"
"""Prefix of the string that replaces an image in the document; the image's number follows."""
MAX_VALUES = 200_000
"""Values of a document that is parsed; each takes some hundred bytes of memory, however short it is written."""
_SEPARATORS = (b"{", b"[", b",", b":")


class BodyTooLarge(Exception):
    """More bytes than the caller's cap."""


class LiftedImage(NamedTuple):
    """One base64 string of the body. pieces: decoded bytes as they came, None when it is not base64. text: as received,
    unless encoding each piece again gives the same text."""

    pieces: Pieces | None
    text: bytes | None

    @property
    def data(self) -> bytes | None:
        """The decoded bytes in one; copies them."""
        return None if self.pieces is None else b"".join(self.pieces)


class Body(NamedTuple):
    """A whole body. skeleton: the document around the images; it says `lifted:i` at offset `marks[i]` for `images[i]`.

    raw: the bytes of a body that was not parsed.
    """

    skeleton: bytes
    images: tuple[LiftedImage, ...]
    marks: tuple[int, ...]
    size: int
    raw: Pieces = ()

    def document(self) -> Any:
        """The parsed JSON of the skeleton. Raises ValueError when it is not JSON, or nested or split beyond reason."""
        if len(self.skeleton) > MAX_VALUES and sum(map(self.skeleton.count, _SEPARATORS)) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values")
        try:
            return json.loads(self.skeleton)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def text(self, limit: int = 20_000) -> str:
        """The start of the skeleton as text, for messages."""
        return self.skeleton[:limit].decode("utf-8", "replace")

    def verbatim(self) -> Iterator[bytes]:
        """The body as it was received, in pieces."""
        yield from self.raw
        done = 0
        for number, (image, mark) in enumerate(zip(self.images, self.marks, strict=True)):
            yield self.skeleton[done:mark]
            if image.text is not None:
                yield image.text
            else:
                yield from map(pybase64.b64encode, image.pieces or ())
            done = mark + len(f"{LIFTED}{number}")
        yield self.skeleton[done:]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    headers: lower-case names. latency_s: from send to last byte. reused: it came over a reused connection. unterminated: its
    document is whole, and its framing was not.
    """

    status: int
    headers: Mapping[str, str]
    body: Body
    latency_s: float
    reused: bool = False
    unterminated: bool = False


@dataclass(frozen=True, slots=True)
class BrokenExchange:
    """No whole answer. status: if the answer's headers were seen. local: the fault is this machine's, not the network's.

    body: what came of an answer that was a good one so far.
    """

    how: BreakKind
    detail: str
    status: int | None = None
    local: bool = False
    latency_s: float | None = None
    body: Body | None = None
