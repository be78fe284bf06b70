"""What counts as an image: a whole file of a format that can be checked, told from its bytes alone."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError, WebPImagePlugin

from schemas.artifacts import Asked, NotAnImage

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_SVG = re.compile(rb"^\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!DOCTYPE[^>]*>\s*)?<svg[\s>]", re.DOTALL)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = struct.Struct(">I4s")
"""Bytes of its content, and its kind; the content and the checksum of both follow."""
_GIF_EXTENSION, _GIF_FRAME, _GIF_TRAILER = b"!,;"
_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error),
    Image.DecompressionBombError,
)


# Pillow would import what reads an image at the first one, when there may be no descriptor left for it.
Image.preinit()
assert WebPImagePlugin.WebPImageFile.format in _FORMATS


class Looked(NamedTuple):
    """What the bytes say. format: png, jpeg, webp, gif or svg. width, height: pixels, None for svg."""

    format: str
    width: int | None
    height: int | None
    flags: tuple[str, ...] = ()


def look(data: bytes, *, asked_format: str | None, max_pixels: int) -> Looked:
    """Read the image to its end. Raises NotAnImage for anything but a whole image of a format we can check,
    OSError where this machine has too little of something.

    A PNG's checksums tell whether it is whole, at a sixth of what decoding it takes; the others are decoded.
    """
    if asked_format == "svg" and _SVG.match(data[:4096]) and data.rstrip().endswith(b"</svg>"):
        return Looked("svg", None, None)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=_FORMATS) as image,
        ):
            width, height = image.size
            if width * height > max_pixels:
                raise NotAnImage(f"{width}x{height} pixels are more than output.max_pixels ({max_pixels:,})")
            kind = str(image.format).lower()
            if kind == "png":
                flags = _png_end(data)
            else:
                image.load()
                flags = _gif_end(data) if kind == "gif" else ()
    except UnidentifiedImageError:
        raise NotAnImage(
            f"the bytes are no PNG, JPEG, WebP or GIF image (they start {data[:12]!r})"
        ) from None
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # this machine's trouble, not the image's
        raise NotAnImage(f"the image does not decode: {str(error)[:200]}") from None
    return Looked(kind, width, height, flags)


def _png_end(data: bytes) -> tuple[str, ...]:
    """Walk the chunks to the last one and compare their checksums.

    Pillow's `verify` does the same by way of copies, which made an image of 1.5 MB cost half as much again (9.1 ms of CPU
    instead of 6.2, line `big` of `python -m tests.bench`).
    """
    view, at, kind, has_pixels = memoryview(data), len(_PNG_SIGNATURE), b"", False
    while kind != b"IEND":
        size, kind = _PNG_CHUNK.unpack_from(data, at)
        end = at + _PNG_CHUNK.size + size
        if zlib.crc32(view[at + 4 : end]).to_bytes(4, "big") != view[end : end + 4]:
            raise NotAnImage(f"the image does not decode: its chunk {kind!r} is cut or altered")
        has_pixels |= kind == b"IDAT"
        at = end + 4
    if not has_pixels:
        raise NotAnImage("the image does not decode: it has no pixels")
    return ("trailing_bytes",) if at < len(data) else ()


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
