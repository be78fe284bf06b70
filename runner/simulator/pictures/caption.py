"""The prompt, written at the foot of its picture."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from unicodedata import combining, normalize

from PIL import Image, ImageDraw, ImageFont

from runner.simulator.pictures.scene import GROUND

MAX_LINES = 4
_INK = 250
_STAND_INS = str.maketrans(
    dict(zip("—–−‐‑×øØłŁđĐ•′", "-----xoOlLdD·'", strict=True)) | {"ß": "ss", "æ": "ae"}
)
"""For letters that Pillow's own font lacks; it has no letters at all beyond Latin."""
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=64)
def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def write_caption(canvas: Image.Image, text: str, mark: str, inset: int = 0) -> None:
    """Draw `text`, wrapped to at most four lines, on a dark foot of `canvas` (mode L).

    mark: stands at the right end below the text; "" for none. inset: pixels at each edge that stay free of text.
    """
    width, height = canvas.size
    size = max(9, round(min(width, height * 1.4) / 30))
    font, margin, leading = _font(size), round(size * 1.1) + inset, size * 1.35
    most = max(1, min(MAX_LINES, int(height * 0.45 / leading)))
    lines = wrap(text, font, width - 2 * margin, most)
    top = height - inset - round((len(lines) + (0.8 if mark else 0)) * leading + size * 1.5)
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((0, top, width, height), fill=GROUND)
    for number, line in enumerate(lines):
        pen.text((margin, top + size * 0.7 + number * leading), line, fill=_INK, font=font)
    if mark:
        pen.text((width - margin, height - inset - size * 0.6), mark, fill=_INK - 70, font=font, anchor="rb")


def wrap(text: str, font: _Font, room: float, most: int) -> list[str]:
    """`text` in at most `most` lines no wider than `room` pixels; what does not fit ends in an ellipsis.

    Breaks at spaces, and inside words that are wider than a line (or in scripts without spaces).
    """
    bare = (
        letter for letter in normalize("NFKD", text[:2_000].translate(_STAND_INS)) if not combining(letter)
    )
    rest = " ".join("".join(letter if letter.isprintable() else " " for letter in bare).split())
    lines: list[str] = []
    while rest and len(lines) < most:
        take = _fitting(rest, font, room)
        if take < len(rest):
            space = rest.rfind(" ", 0, take + 1)
            take = space if space > take // 3 else take
        lines.append(rest[:take].rstrip())
        rest = rest[take:].lstrip()
    if rest:
        lines[-1] = lines[-1][: _fitting(lines[-1] + "…", font, room) - 1].rstrip(" ,.;") + "…"
    return lines


def _fitting(text: str, font: _Font, room: float) -> int:
    """How many leading characters of `text` fit into `room` pixels, at least 1."""
    ends = range(2, min(len(text), 200) + 1)
    return 1 + bisect_right(ends, room, key=lambda end: font.getlength(text[:end]))
