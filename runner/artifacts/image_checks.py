"""What counts as an image: a whole file of a format that can be checked, judged by its bytes alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from runner.artifacts.formats import gif, jpeg, png, svg, webp
from runner.artifacts.formats.structure import Structure
from schemas.artifacts import BeyondLimits, Check, NotAnImage, RequestedFormat
from schemas.outcome import BLANK

PATIENCE_NS = 2**28
"""CPU that a check in a thread may take: threads cannot be ended. 67 MB of PNG, 16 million pixels of JPEG, 8 of WebP."""
SHORT_PATIENCE_NS = 2**26
"""The same once the run is cut short, when dozens of checks may be waiting."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the bytes show. format: png, jpeg, webp, gif or svg. width, height: pixels, None for svg."""

    format: str
    width: int | None
    height: int | None
    flags: tuple[str, ...] = ()


class SlowCheck(Exception):
    """Decoding may take longer than the caller can wait. info: what there is to say without."""

    def __init__(self, info: ImageInfo) -> None:
        super().__init__(info)
        self.info = info


class _Format(NamedTuple):
    name: str
    begins: Callable[[bytes], bool]
    read: Callable[[bytes], Structure]


_FORMATS = (
    _Format("png", lambda data: data.startswith(png.SIGNATURE), png.read),
    _Format("jpeg", lambda data: data.startswith(jpeg.SIGNATURE), jpeg.read),
    _Format("webp", webp.is_one, webp.read),
    _Format("gif", lambda data: data.startswith(gif.SIGNATURES), gif.read),
)


def inspect_image(
    data: bytes, *, asked_format: str | None, check: Check, patience_ns: int | None = None
) -> ImageInfo:
    """Read the image to its end.

    Args:
        data: the whole file.
        asked_format: a drawing (`svg`) is an image only where it was asked for.
        check: what is asked of an image.
        patience_ns: CPU that decoding may take; None: any.

    Raises:
        NotAnImage: for anything but a whole image of a format that we can check.
        SlowCheck: it may take longer than `patience_ns`; nothing has been decoded.
        OSError: this machine has too little of something.
    """
    try:
        return _inspect(data, asked_format, check, patience_ns)
    except (NotAnImage, SlowCheck):
        raise
    except Exception as error:  # decoders raise what they like; what was paid for is kept all the same
        if isinstance(error, OSError) and error.errno is not None:
            raise  # this machine's trouble, not the image's
        text = f"{type(error).__name__}: {error}"[:200]
        raise NotAnImage(f"the image does not decode: {text}") from None


def _inspect(data: bytes, asked_format: str | None, check: Check, patience_ns: int | None) -> ImageInfo:
    kind, structure = _structure(data, asked_format)
    width, height, flags, effort_ns, decode = structure
    info = ImageInfo(kind, width, height, flags)
    if width is not None and height is not None and width * height > check.max_pixels:
        raise BeyondLimits(f"{width}x{height} pixels are more than output.max_pixels ({check.max_pixels:,})")
    if kind in _STRUCTURED and not check.decode:
        return info
    if patience_ns is not None and effort_ns > patience_ns:
        raise SlowCheck(info)
    blank = decode() and check.decode
    return replace(info, flags=(*flags, BLANK)) if blank else info


_STRUCTURED = frozenset({"png", "svg"})
"""Formats whose parts tell by themselves whether they are whole. The others have no checksums."""


def _structure(data: bytes, asked_format: str | None) -> tuple[str, Structure]:
    for each in _FORMATS:
        if each.begins(data):
            return each.name, each.read(data)
    if asked_format == "svg" and (drawing := svg.read(data)) is not None:
        return "svg", drawing
    raise NotAnImage(f"the bytes are no PNG, JPEG, WebP or GIF image (they start {data[:12]!r})")


def mismatch_flags(info: ImageInfo, requested: RequestedFormat) -> tuple[str, ...]:
    """Flags for differences from what was requested."""
    flags = list(info.flags)
    kind = requested.output_format
    if kind is not None and {"jpg": "jpeg"}.get(kind, kind) != info.format:
        flags.append("format_mismatch")
    size = re.fullmatch(r"(\d+)x(\d+)", requested.size or "")
    if size and info.width is not None and (int(size[1]), int(size[2])) != (info.width, info.height):
        flags.append("size_mismatch")
    return tuple(flags)
