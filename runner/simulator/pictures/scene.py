"""A sun over hills, drawn from chance in one channel (0 dark, 255 pale), and the colours of its levels."""

from __future__ import annotations

import colorsys
import math
from random import Random

from PIL import Image, ImageDraw

GROUND = 14
"""Level of the foreground; captions stand on it."""
_STEPS = 48
_LIGHTNESS = (0.085, 0.25, 0.46, 0.69, 0.93)
_SATURATION = (0.55, 0.48, 0.50, 0.72, 0.70)
_TURN = (0.0, 0.12, 0.4, 0.8, 1.0)


def draw_scene(width: int, height: int, chance: Random) -> Image.Image:
    """A landscape of `width` x `height` pixels, mode L."""
    top, bottom = chance.randint(110, 190), chance.randint(202, 224)
    column = bytes(min(bottom, top + (bottom - top) * 3 * y // (2 * height)) for y in range(height))
    canvas = Image.frombytes("L", (1, height), column).resize((width, height), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(canvas)
    x, y = width * chance.uniform(0.15, 0.85), height * chance.uniform(0.14, 0.46)
    radius = min(width, height) * chance.uniform(0.05, 0.16)
    for growth, level in ((2.4, 212), (1.7, 224), (1.3, 236), (1.0, 255)):
        reach = radius * growth
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=level)
    layers, rough = chance.randint(3, 6), chance.choice((0.0, 0.0, 0.25, 0.5))
    for layer in range(layers):
        depth = layer / (layers - 1)
        line = _ridge(width, height * (0.48 + 0.34 * depth), height * (0.08 - 0.04 * depth), rough, chance)
        level = round(178 - (156 - GROUND) * depth**0.85)
        pen.polygon([*line, (width, height), (0, height)], fill=level)
    return canvas


def _ridge(width: int, base: float, swing: float, rough: float, chance: Random) -> list[tuple[float, float]]:
    """A skyline from left to right: three waves around height `base`. rough: 0 for rolling, 1 for jagged."""
    waves = [(chance.uniform(0.5, 1.2) * 2.1**k, chance.uniform(0, math.tau), 0.5**k) for k in range(3)]
    points = []
    for step in range(_STEPS + 1):
        share = step / _STEPS
        rise = sum(tall * math.sin(math.tau * pace * share + phase) for pace, phase, tall in waves)
        points.append((width * share, base - swing * (rise + rough * chance.uniform(-1, 1))))
    return points


def ramp(chance: Random) -> bytes:
    """256 RGB triples from a dark shadow to a pale light whose hue turns steadily, as `Image.putpalette` takes them.

    A soft edge between two levels runs through the colours between them, and pale text on dark ground is legible.
    """
    hue = chance.random()
    turn = chance.choice((-1, 1)) * chance.uniform(0.06, 0.45)
    rich = chance.uniform(0.75, 1.0)
    rows = zip(_LIGHTNESS, _SATURATION, _TURN, strict=True)
    stops = [colorsys.hls_to_rgb((hue + turn * share) % 1, light, rich * full) for light, full, share in rows]
    span = 256 / (len(stops) - 1)
    table = bytearray()
    for level in range(256):
        place, share = int(level / span), level / span % 1
        table += bytes(
            round(255 * (a + (b - a) * share)) for a, b in zip(*stops[place : place + 2], strict=True)
        )
    return bytes(table)
