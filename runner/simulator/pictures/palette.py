"""Colours of a picture: one smooth ramp from a dark foreground to a pale sky.

Scenes are drawn in 256 levels of one channel and coloured by a ramp, so a soft edge between any two
levels runs through colours that belong between them, and pale text on a dark ground is always legible.
"""

from __future__ import annotations

import colorsys
from random import Random

LEVELS = 256

_Colour = tuple[float, float, float]


def ramp(chance: Random) -> bytes:
    """256 RGB triples, dark to pale, as `Image.putpalette` takes them."""
    stops = _stops(chance)
    span = LEVELS / (len(stops) - 1)
    table = bytearray()
    for level in range(LEVELS):
        place = min(int(level / span), len(stops) - 2)
        share = level / span - place
        low, high = stops[place], stops[place + 1]
        table += bytes(round(255 * (a + (b - a) * share)) for a, b in zip(low, high, strict=True))
    return bytes(table)


def _stops(chance: Random) -> list[_Colour]:
    """Five colours of rising lightness whose hue turns steadily from the shadows' to the light's."""
    shadow = chance.random()
    turn = chance.choice((-1, 1)) * chance.uniform(0.06, 0.45)
    rich = chance.uniform(0.75, 1.0)
    lightness = (0.085, 0.25, 0.46, 0.69, 0.93)
    saturation = (0.55, 0.48, 0.50, 0.72, 0.70)
    steps = zip(lightness, saturation, (0.0, 0.12, 0.4, 0.8, 1.0), strict=True)
    return [
        colorsys.hls_to_rgb((shadow + turn * share) % 1, light, rich * full) for light, full, share in steps
    ]
