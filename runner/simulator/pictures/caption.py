"""The prompt, written at the foot of its picture."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from unicodedata import category, normalize

from PIL import Image, ImageDraw, ImageFont

from runner.simulator.pictures.lettering import Lettering, clusters
from runner.simulator.pictures.scene import GROUND

MAX_LINES = 4
_INK = 250
_PLAIN_SIGNS = str.maketrans(dict(zip("—–−‐‑×•′", "-----x·'", strict=True)))
"""Signs that read as well in plainer ones, which Pillow's own font has."""
_KEPT_JOINERS = "\u200c\u200d"
_ELLIPSIS = "…"


def write_caption(canvas: Image.Image, text: str, mark: str, inset: int = 0) -> None:
    """Draw `text`, wrapped to at most four lines, on a dark foot of `canvas` (mode L).

    A text with a character that no font has is left out whole: a caption tells the prompt or nothing.
    mark: stands at the right end below the text; "" for none. inset: pixels at each edge that stay free of text.
    """
    width, height = canvas.size
    size = max(9, round(min(width, height * 1.4) / 30))
    margin, leading = round(size * 1.1) + inset, size * 1.35
    room = width - 2 * margin
    most = max(1, min(MAX_LINES, int(height * 0.45 / leading)))
    lettering, lines = _lines(text, size, room, most)
    if not lines and not mark:
        return
    font = ImageFont.load_default(size)
    top = height - inset - round((len(lines) + (0.8 if mark else 0)) * leading + size * 1.5)
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((0, top, width, height), fill=GROUND)
    baseline = top + size * 0.7 + _ascent(size)
    for number, line in enumerate(lines):
        lettering.draw(canvas, margin, baseline + number * leading, room, line, _INK)
    if mark:
        pen.text((width - margin, height - inset - size * 0.6), mark, fill=_INK - 70, font=font, anchor="rb")


@lru_cache(maxsize=16)
def _ascent(size: int) -> int:
    """Pixels from the top of a line of Pillow's own font to its baseline."""
    font = ImageFont.load_default(size)
    return font.getmetrics()[0] if isinstance(font, ImageFont.FreeTypeFont) else size


def _lines(text: str, size: int, room: float, most: int) -> tuple[Lettering, list[list[str]]]:
    """How to draw the caption, and its lines; no lines where it cannot be drawn."""
    parts = clusters(legible(text))
    try:
        lettering = Lettering([*parts, _ELLIPSIS], size)
    except LookupError:
        return Lettering([], size), []
    return lettering, wrap(parts, lettering, room, most)


def legible(text: str) -> str:
    """The first 2,000 characters of `text` on one line: composed, with plain signs, without control characters."""
    plain = normalize("NFC", text[:2_000].translate(_PLAIN_SIGNS))
    return " ".join("".join(map(_in_line, plain)).split())


def _in_line(letter: str) -> str:
    if category(letter) in ("Cc", "Cs", "Zl", "Zp", "Zs"):
        return " "
    return "" if category(letter) == "Cf" and letter not in _KEPT_JOINERS else letter


def wrap(parts: list[str], lettering: Lettering, room: float, most: int) -> list[list[str]]:
    """Clusters in at most `most` lines no wider than `room` pixels; what does not fit ends in an ellipsis.

    Breaks at spaces, and inside words that are wider than a line (or in scripts without spaces).
    """
    lines: list[list[str]] = []
    rest = parts
    while rest and len(lines) < most:
        take = _fitting(rest, lettering, room)
        if take < len(rest):
            space = next((place for place in range(take, 0, -1) if rest[place] == " "), 0)
            take = space if space > take // 3 else take
        lines.append(_stripped(rest[:take], " "))
        rest = rest[take:]
        while rest and rest[0] == " ":
            rest = rest[1:]
    if rest:
        last = [*lines[-1], _ELLIPSIS]
        kept = lines[-1][: _fitting(last, lettering, room) - 1]
        lines[-1] = [*_stripped(kept, " ,.;"), _ELLIPSIS]
    return lines


def _stripped(parts: list[str], signs: str) -> list[str]:
    while parts and parts[-1] in signs:
        parts = parts[:-1]
    return parts


def _fitting(parts: list[str], lettering: Lettering, room: float) -> int:
    """How many leading clusters fit into `room` pixels, at least 1."""
    ends = range(2, min(len(parts), 200) + 1)
    return 1 + bisect_right(ends, room, key=lambda end: lettering.width(parts[:end]))
