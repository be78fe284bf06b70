"""From received bytes to an acknowledged file: checked as an image, named by us, durable under its final name."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from jobs.naming import image_name
from runner.artifacts import pngs
from runner.artifacts.atomic_files import Folder, keep
from runner.artifacts.batch_save import save_all
from runner.artifacts.direct_io import Buffer
from schemas.outcome import SavedImage
from schemas.request import ImageRequest

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_SVG = re.compile(rb"^\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!DOCTYPE[^>]*>\s*)?<svg[\s>]", re.DOTALL)
_GIF_EXTENSION, _GIF_FRAME, _GIF_TRAILER = b"!,;"
_JOINED_BYTES = 16 * 2**20
"""An image up to this size is put together first: each step over a piece is a turn of the interpreter's lock."""
_MOST_CHARS = 100
"""Of a format or size that was asked for; no picture has what is longer."""
_MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Pillow takes anything larger for an attack."""
_UNREADABLE = (OSError, SyntaxError, ValueError, struct.error, EOFError, Image.DecompressionBombError)


class NotAnImage(Exception):
    """The bytes are no whole image that may be kept; the message says why."""


class Looked(NamedTuple):
    """What the bytes say. format: png, jpeg, webp, gif or svg. width, height: pixels, None for svg."""

    format: str
    width: int | None
    height: int | None
    flags: tuple[str, ...] = ()


def look(pieces: Sequence[Buffer], *, asked_format: str | None, max_pixels: int) -> Looked:
    """Read the image to its end. Raises NotAnImage for anything but a whole image of a format we can check.

    A PNG's checksums tell whether it is whole, at a tenth of what decoding it takes; the others are decoded.
    """
    size = pngs.size(pieces[0]) if pieces else None
    if size is None:
        return _decoded(b"".join(pieces), asked_format, max_pixels)
    _cap(*size, max_pixels)
    if size[0] * size[1] > _MOST_PIXELS:
        raise NotAnImage(f"{size[0]}x{size[1]} pixels are more than any picture has")
    try:
        trailing = pngs.check(pieces)
    except pngs.BrokenPng as problem:
        raise NotAnImage(f"the image does not decode: {problem}") from None
    return Looked("png", *size, ("trailing_bytes",) if trailing else ())


def _cap(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise NotAnImage(f"{width}x{height} pixels are more than output.max_pixels ({max_pixels:,})")


def _decoded(data: bytes, asked_format: str | None, max_pixels: int) -> Looked:
    if asked_format == "svg" and _SVG.match(data[:4096]) and data.rstrip().endswith(b"</svg>"):
        return Looked("svg", None, None)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            warnings.simplefilter("ignore")
            width, height = image.size
            _cap(width, height, max_pixels)
            kind = str(image.format).lower()
            flags: tuple[str, ...] = ()
            if kind == "png":
                flags = ("trailing_bytes",) if pngs.check((data,)) else ()
            else:
                image.load()
                flags = _gif_end(data) if kind == "gif" else ()
    except UnidentifiedImageError:
        raise NotAnImage(
            f"the bytes are no PNG, JPEG, WebP or GIF image (they start {data[:12]!r})"
        ) from None
    except (*_UNREADABLE, pngs.BrokenPng) as error:
        raise NotAnImage(f"the image does not decode: {str(error)[:200]}") from None
    return Looked(kind, width, height, flags)


def _gif_end(data: bytes) -> tuple[str, ...]:
    """Walk the blocks of all frames to the trailer; decoding ends with the first frame."""
    try:
        at = 13 + _gif_colours(data[10])
        while data[at] != _GIF_TRAILER:
            if data[at] not in (_GIF_EXTENSION, _GIF_FRAME):
                at += 1
                continue
            at += 2 if data[at] == _GIF_EXTENSION else 11 + _gif_colours(data[at + 9])
            while data[at]:
                at += data[at] + 1
            at += 1
    except IndexError:
        raise NotAnImage("the GIF has no end") from None
    return ("trailing_bytes",) if at + 1 < len(data) else ()


def _gif_colours(flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    return 3 << (flags % 8 + 1) if flags & 0x80 else 0


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


def differences(looked: Looked, asked: Asked) -> tuple[str, ...]:
    """Flags for what is not as asked."""
    flags = list(looked.flags)
    kind = asked.output_format
    if kind is not None and {"jpg": "jpeg"}.get(kind, kind) != looked.format:
        flags.append("format_mismatch")
    size = re.fullmatch(r"(\d+)x(\d+)", asked.size or "")
    if size and looked.width is not None and (int(size[1]), int(size[2])) != (looked.width, looked.height):
        flags.append("size_mismatch")
    return tuple(flags)


class _Checked(NamedTuple):
    """An image that may be saved."""

    pieces: Sequence[Buffer]
    label: Label
    looked: Looked
    flags: tuple[str, ...]
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """Where it goes, if no other file is there."""
        label = self.label
        return image_name(label.attempt, label.image, label.slug, self.looked.format)

    def saved(self, name: str) -> SavedImage:
        """The image, saved under this name."""
        _, label, looked, flags, size, digest = self
        return SavedImage(
            label.image, name, looked.format, looked.width, looked.height, size, digest, flags=flags
        )


ToSave = tuple[Sequence[Buffer], Asked, Label]
"""An image to be saved, in pieces, and what is known of it."""


class ImageStore(NamedTuple):
    """Saves images below OUT. Blocking; meant for a pool of threads."""

    folder: Folder
    max_pixels: int

    def save(self, pieces: Sequence[Buffer], asked: Asked, label: Label) -> SavedImage:
        """Check, write, sync and publish one image. Raises NotAnImage, or OSError when the disk refuses."""
        checked = self._checked(pieces, asked, label)
        name = keep(self.folder, checked.name, lambda: checked.pieces)
        return checked.saved(name)

    def save_all(self, orders: Sequence[ToSave]) -> list[SavedImage | NotAnImage | OSError]:
        """The same for several, synced together: each image, in order, or what `save` would have raised."""
        ends: dict[int, SavedImage | NotAnImage | OSError] = {}
        checked: dict[int, _Checked] = {}
        for place, order in enumerate(orders):
            try:
                checked[place] = self._checked(*order)
            except NotAnImage as reason:
                ends[place] = reason
        problems = save_all(self.folder, [(image.name, image.pieces) for image in checked.values()])
        for (place, image), problem in zip(checked.items(), problems, strict=True):
            if isinstance(problem, FileExistsError):
                try:
                    ends[place] = self.save(*orders[place])
                except OSError as refused:
                    ends[place] = refused
            else:
                ends[place] = problem or image.saved(image.name)
        return [ends[place] for place in range(len(orders))]

    def _checked(self, pieces: Sequence[Buffer], asked: Asked, label: Label) -> _Checked:
        size = sum(map(len, pieces))
        if size <= _JOINED_BYTES and len(pieces) > 1:
            pieces = (b"".join(pieces),)
        looked = look(pieces, asked_format=asked.output_format, max_pixels=self.max_pixels)
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
        return _Checked(pieces, label, looked, differences(looked, asked), size, digest.hexdigest())
