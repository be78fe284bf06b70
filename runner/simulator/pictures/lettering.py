"""Text of any script, measured and drawn with fonts that have its characters: Pillow's own, else those installed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, groupby
from pathlib import Path
from unicodedata import bidirectional, category

from PIL import Image, ImageDraw, ImageFont, features

from runner.simulator.pictures.fonts import FontFile, installed_fonts

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_BITMAP_SIZES = (109, 136, 128)
"""Pixels that colour fonts made of bitmaps come in: Noto's, and others'."""
_LACKING = "\U0010fffe"
"""Not a character: what a font draws for it is what it draws for those that it lacks."""
_PROBE_SIZE = 24
_JOINER = "\u200d"
_RIGHT_TO_LEFT = ("R", "AL")


@lru_cache(maxsize=256)
def _font(path: Path | None, size: int) -> tuple[_Font, float]:
    """A font, and by how much what it draws must grow, which is 1 but for fonts of bitmaps. Raises OSError.

    path: None for Pillow's own, which has few letters but unaccented Latin ones.
    """
    if path is None:
        return ImageFont.load_default(size), 1.0
    for own in (size, *_BITMAP_SIZES):
        try:
            return ImageFont.truetype(path, own), size / own
        except OSError:
            continue
    raise OSError(f"{path} cannot be drawn with")


@lru_cache(maxsize=16_384)
def _draws(path: Path | None, letter: str) -> bool:
    """Whether the font draws this character: neither nothing nor the box for what it lacks, nor a sign of its own."""
    if category(letter) == "Co":
        return False
    try:
        font, growth = _font(path, _PROBE_SIZE)
    except OSError:
        return False
    if growth != 1.0:
        return _tile(letter, font).getbbox() is not None
    mask = font.getmask(letter)
    return mask.getbbox() is not None and bytes(mask) != bytes(font.getmask(_LACKING))


def _tile(text: str, font: _Font) -> Image.Image:
    """`text` in its own colours on nothing, for fonts of bitmaps; from its left end and down from its highest point."""
    _, top, right, bottom = font.getbbox(text, anchor="ls")
    tile = Image.new("RGBA", (max(1, round(right)), max(1, round(bottom - top))))
    ImageDraw.Draw(tile).text((0, -top), text, font=font, embedded_color=True, anchor="ls")
    return tile


def _follows(letter: str) -> bool:
    """Whether it has no room of its own: a mark on the letter before it, a joiner, a selector, a skin's colour."""
    return category(letter)[0] == "M" or category(letter) == "Cf" or "\U0001f3fb" <= letter <= "\U0001f3ff"


def clusters(text: str) -> list[str]:
    """`text` in parts that cannot be drawn apart: a letter and its marks, a picture and what is joined to it."""
    found: list[str] = []
    for letter in text:
        if found and (_follows(letter) or found[-1].endswith(_JOINER)):
            found[-1] += letter
        else:
            found.append(letter)
    return found


class Lettering:
    """How to draw the clusters of one text. Raises LookupError where no font has all the characters of one of them."""

    def __init__(self, parts: Sequence[str], size: int) -> None:
        self._size = size
        self._fonts = _assign(tuple(dict.fromkeys(parts)))
        self._leftward = _leads_leftward(parts)

    def width(self, parts: Sequence[str]) -> float:
        """Pixels that these clusters take in a line."""
        return sum(_width(path, self._size, text) for path, text in self._spans(parts))

    def draw(
        self, canvas: Image.Image, x: float, baseline: float, room: float, parts: Sequence[str], ink: int
    ) -> None:
        """Draw one line on `canvas` (mode L), within `room` pixels from `x` on: at their right end where it reads so."""
        spans = self._spans(parts)
        if self._leftward:
            spans.reverse()
            x += max(0.0, room - self.width(parts))
        for path, text in spans:
            font, growth = _font(path, self._size)
            if growth == 1.0:
                ImageDraw.Draw(canvas).text((x, baseline), text, fill=ink, font=font, anchor="ls")
            else:
                _paste(canvas, x, baseline, text, font, growth)
            x += _width(path, self._size, text)

    def _spans(self, parts: Sequence[str]) -> list[tuple[Path | None, str]]:
        """The line as texts of one font each; a space stays with what is before it, unless that is a font of pictures."""
        fonts: list[Path | None] = []
        for part in parts:
            if part.isspace() and fonts and _font(fonts[-1], self._size)[1] == 1.0:
                fonts.append(fonts[-1])
            else:
                fonts.append(self._fonts.get(part))
        paired = zip(fonts, parts, strict=True)
        return [
            (path, "".join(text for _, text in span))
            for path, span in groupby(paired, key=lambda pair: pair[0])
        ]


def _paste(canvas: Image.Image, x: float, baseline: float, text: str, font: _Font, growth: float) -> None:
    tile = _tile(text, font)
    tile = tile.resize((max(1, round(tile.width * growth)), max(1, round(tile.height * growth))))
    top = baseline + font.getbbox(text, anchor="ls")[1] * growth
    canvas.paste(tile.convert("L"), (round(x), round(top)), tile.getchannel("A"))


def _width(path: Path | None, size: int, text: str) -> float:
    font, growth = _font(path, size)
    return font.getlength(text) * growth


def _assign(parts: tuple[str, ...]) -> dict[str, Path | None]:
    """The font of each cluster: one for all of them if there is one, else each the first that has it."""
    if not features.check("raqm") and any(map(_needs_shaping, chain.from_iterable(parts))):
        raise LookupError("these letters take their shapes from their neighbours, and Pillow has no raqm")
    inked = [part for part in parts if not part.isspace()]
    if all(_has(None, part) for part in inked):
        return dict.fromkeys(inked)
    whole = next(
        (font.path for font in installed_fonts() if all(_covers(font, part) for part in inked)), None
    )
    if whole is not None:
        return dict.fromkeys(inked, whole)
    return {part: _first(part) for part in inked}


@lru_cache(maxsize=16_384)
def _first(part: str) -> Path | None:
    if _has(None, part):
        return None
    found = next((font.path for font in installed_fonts() if _covers(font, part)), None)
    if found is None:
        raise LookupError(f"no font has {part!r}")
    return found


def _covers(font: FontFile, part: str) -> bool:
    return all(font.has(letter) for letter in _visible(part)) and _has(font.path, part)


def _has(path: Path | None, part: str) -> bool:
    """Whether the font draws each letter of a cluster; its marks, which need a letter to be drawn, are Pillow's to place."""
    if path is None and len(part) > 1:
        return False
    return all(_draws(path, letter) for letter in _visible(part) if category(letter)[0] != "M")


def _visible(part: str) -> Iterable[str]:
    return (letter for letter in part if category(letter) != "Cf" and not "\ufe00" <= letter <= "\ufe0f")


def _needs_shaping(letter: str) -> bool:
    return bidirectional(letter) in _RIGHT_TO_LEFT or category(letter) in ("Mc", "Mn")


def _leads_leftward(parts: Iterable[str]) -> bool:
    """Whether the first letter that has a direction is of a script that is written from right to left."""
    directions = (bidirectional(letter) for letter in chain.from_iterable(parts))
    return next((way != "L" for way in directions if way in ("L", *_RIGHT_TO_LEFT)), False)
