"""Pictures that Pillow decodes, frame by frame."""

from __future__ import annotations

import copy  # noqa: F401 - Pillow imports it at the first GIF, when there may be no descriptor left for it
import io
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from PIL import Image, TiffImagePlugin  # noqa: F401 - and this at the first EXIF data
from PIL.ImageFile import ImageFile

NS_A_PIXEL = 32
"""Of a frame: what a WebP of 64 million pixels takes; the others take less."""
_SAMPLES = 8
"""Places in a row and in a column that are compared before all pixels are."""

_NOISE = 8
"""Levels by which pixels of one colour may differ once a lossy format has had them."""
_QUIET = threading.Lock()
"""The filters of `warnings` are the whole process's: two threads that changed them at a time would leave them changed."""

Plugin = Callable[[IO[bytes]], ImageFile]
Colour = tuple[float, ...]


@contextmanager
def opened(plugin: Plugin, data: bytes) -> Iterator[ImageFile]:
    """The image as this plugin of Pillow's reads it, whose warnings are nobody's business."""
    with _QUIET, warnings.catch_warnings(action="ignore"):
        image = plugin(io.BytesIO(data))
    with image:
        yield image


def decode(plugin: Plugin, data: bytes, count: int) -> bool:
    """Decode so many frames; whether all are of one and the same colour. Raises whatever Pillow does."""
    colours: set[Colour | None] = set()
    with opened(plugin, data) as image:
        for number in range(count):
            image.seek(number)
            image.load()
            colours.add(colour(image))
    return None not in colours and _alike([each for each in colours if each is not None])


def colour(image: Image.Image) -> Colour | None:
    """Red, green, blue and alpha of all pixels, but for the noise of lossy formats; None where they differ."""
    width, height = image.size
    places = [
        (width * x // _SAMPLES, height * y // _SAMPLES) for x in range(_SAMPLES) for y in range(_SAMPLES)
    ]
    noise = 0 if image.mode == "P" else _NOISE  # numbers that follow each other are no like colours there
    if not _alike([_bands(image.getpixel(place)) for place in places], noise):
        return None
    extrema = image.getextrema()
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    if any(high - low > noise for low, high in bands):
        return None
    return _bands(image.crop((0, 0, 1, 1)).convert("RGBA").getpixel((0, 0)))


def _bands(pixel: float | tuple[int, ...] | None) -> Colour:
    return pixel if isinstance(pixel, tuple) else (pixel or 0,)


def _alike(colours: Sequence[Colour], noise: int = _NOISE) -> bool:
    return all(max(band) - min(band) <= noise for band in zip(*colours, strict=True))
