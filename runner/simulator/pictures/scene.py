"""Landscapes drawn from chance: light, a horizon and a few layers, in one channel (0 dark, 255 pale).

Flat shapes in one channel: a scene of 1024 x 1024 pixels costs about two milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw

GROUND = 14
"""Level of the foreground; captions stand on it."""

_Composition = Callable[[ImageDraw.ImageDraw, int, int, Random], None]


def draw_scene(width: int, height: int, chance: Random) -> Image.Image:
    """A landscape of `width` x `height` pixels, mode L."""
    canvas = _sky(width, height, chance)
    pen = ImageDraw.Draw(canvas)
    if chance.random() < 0.35:
        _stars(pen, width, height, chance)
    _light(pen, width, height, chance)
    if chance.random() < 0.6:
        _clouds(pen, width, height, chance)
    chance.choice(COMPOSITIONS)(pen, width, height, chance)
    if chance.random() < 0.4:
        _birds(pen, width, height, chance)
    return canvas


def _sky(width: int, height: int, chance: Random) -> Image.Image:
    """Vertical light, palest near the horizon, dimmer above."""
    top = chance.randint(120, 190)
    bottom = chance.randint(202, 224)
    column = [min(bottom, top + round((bottom - top) * 1.6 * y / height)) for y in range(height)]
    strip = Image.frombytes("L", (1, height), bytes(column))
    return strip.resize((width, height), Image.Resampling.NEAREST)


def _stars(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    for _ in range(60):
        x, y = chance.uniform(0, width), chance.uniform(0, height * 0.45)
        size = chance.choice((0.6, 0.6, 1.1)) * width / 512
        pen.ellipse((x - size, y - size, x + size, y + size), fill=chance.randint(215, 255))


def _light(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    """A sun or a moon: soft rings and a disc, or a ring with its shadow."""
    x, y = width * chance.uniform(0.18, 0.82), height * chance.uniform(0.16, 0.46)
    radius = min(width, height) * chance.uniform(0.06, 0.15)
    for growth, level in ((2.3, 4), (1.65, 8), (1.3, 12)):
        _disc(pen, x, y, radius * growth, min(250, 200 + level * 3))
    _disc(pen, x, y, radius, 255)
    if chance.random() < 0.3:
        _disc(pen, x + radius * 0.4, y - radius * 0.15, radius * 0.82, 228)


def _disc(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, level: int) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=level)


def _clouds(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    for _ in range(chance.randint(2, 5)):
        x, y = width * chance.uniform(-0.1, 0.9), height * chance.uniform(0.06, 0.42)
        long, thick = width * chance.uniform(0.12, 0.4), height * chance.uniform(0.006, 0.022)
        level = chance.randint(205, 250)
        for _ in range(3):
            shift, drop = chance.uniform(-0.4, 0.4) * long, chance.uniform(-1.6, 1.6) * thick
            box = (x + shift, y + drop, x + shift + long, y + drop + 2 * thick)
            pen.rounded_rectangle(box, radius=thick, fill=level)


def _birds(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    x, y = width * chance.uniform(0.2, 0.7), height * chance.uniform(0.15, 0.4)
    for _ in range(chance.randint(3, 7)):
        left, top, span = (
            x + width * chance.uniform(-0.12, 0.12),
            y + height * chance.uniform(-0.06, 0.06),
            width / 60,
        )
        wings = [(left - span, top - span * 0.5), (left, top), (left + span, top - span * 0.6)]
        pen.line(wings, fill=50, width=max(1, width // 340), joint="curve")


def ridge(width: int, base: float, swing: float, rough: float, chance: Random) -> list[tuple[float, float]]:
    """Points of a skyline from left to right: three waves around height `base`, `swing` pixels high.

    rough: 0 for rolling, 1 for jagged.
    """
    waves = [(chance.uniform(0.5, 1.2) * 2.1**k, chance.uniform(0, math.tau), 0.5**k) for k in range(3)]
    points = []
    for step in range(49):
        share = step / 48
        height = sum(tall * math.sin(math.tau * pace * share + phase) for pace, phase, tall in waves)
        height += rough * chance.uniform(-0.8, 0.8)
        points.append((width * share, base - swing * height))
    return points


def _layers(chance: Random, low: int, high: int) -> list[tuple[float, int]]:
    """(depth from 0 far to 1 near, level) of some layers, far ones pale."""
    count = chance.randint(low, high)
    return [
        (k / (count - 1), round(178 - (178 - GROUND - 22) * (k / (count - 1)) ** 0.85)) for k in range(count)
    ]


def _hills(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    for depth, level in _layers(chance, 4, 6):
        line = ridge(width, height * (0.52 + 0.3 * depth), height * 0.05, 0.0, chance)
        pen.polygon([*line, (width, height), (0, height)], fill=level)


def _peaks(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    for depth, level in _layers(chance, 3, 5):
        line = ridge(width, height * (0.46 + 0.36 * depth), height * (0.1 - 0.05 * depth), 0.55, chance)
        pen.polygon([*line, (width, height), (0, height)], fill=level)


def _sea(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    horizon = height * chance.uniform(0.55, 0.64)
    far = ridge(width, horizon - height * 0.01, height * 0.03, 0.25, chance)
    pen.polygon([*far, (width, height), (0, height)], fill=150)
    for band in range(14):
        top = horizon + (height - horizon) * (band / 14) ** 1.5
        pen.rectangle((0, top, width, height), fill=132 - band * 7)
    x = width * chance.uniform(0.25, 0.75)
    for _ in range(70):
        depth = chance.random() ** 1.4
        y, long = horizon + (height - horizon) * depth, width * chance.uniform(0.01, 0.07) * (0.4 + depth)
        centre = x + width * chance.gauss(0, 0.05 + 0.1 * depth)
        pen.line(
            (centre - long, y, centre + long, y), fill=round(240 - 120 * depth), width=max(1, width // 400)
        )
    _boat(pen, width * chance.uniform(0.15, 0.85), horizon + height * 0.05, width / 16)


def _boat(pen: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    pen.polygon(
        [
            (x - size * 0.6, y),
            (x + size * 0.6, y),
            (x + size * 0.35, y + size * 0.25),
            (x - size * 0.4, y + size * 0.25),
        ],
        fill=28,
    )
    pen.polygon([(x, y - size * 1.3), (x, y - size * 0.1), (x + size * 0.55, y - size * 0.1)], fill=225)
    pen.polygon(
        [
            (x - size * 0.06, y - size * 1.1),
            (x - size * 0.06, y - size * 0.1),
            (x - size * 0.4, y - size * 0.1),
        ],
        fill=200,
    )


def _skyline(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    for depth, level in _layers(chance, 3, 3):
        x = -width * 0.02
        while x < width:
            wide = width * chance.uniform(0.04, 0.1)
            top = height * (0.62 + 0.16 * depth - chance.uniform(0.0, 0.3 - 0.12 * depth))
            pen.rectangle((x, top, x + wide, height), fill=level)
            if depth == 1 or chance.random() < 0.4:
                _windows(pen, (x, top, wide, height), level, chance)
            x += wide + width * chance.uniform(-0.005, 0.012)


def _windows(
    pen: ImageDraw.ImageDraw, house: tuple[float, float, float, float], level: int, chance: Random
) -> None:
    left, top, wide, floor = house
    pitch = max(3.0, wide / 5)
    for row in range(1, int((floor - top) / pitch / 2)):
        for column in range(1, 4):
            if chance.random() < 0.4:
                x, y = left + column * pitch, top + row * pitch * 1.6
                pen.rectangle((x, y, x + pitch * 0.45, y + pitch * 0.7), fill=min(255, level + 110))


def _forest(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    for depth, level in _layers(chance, 3, 5):
        line = ridge(width, height * (0.56 + 0.27 * depth), height * 0.035, 0.0, chance)
        pen.polygon([*line, (width, height), (0, height)], fill=level)
        for _ in range(round(26 - 12 * depth)):
            x, y = chance.choice(line)
            tall = height * (0.05 + 0.11 * depth) * chance.uniform(0.6, 1.25)
            _pine(pen, x + width * chance.uniform(-0.02, 0.02), y + tall * 0.15, tall, level)


def _pine(pen: ImageDraw.ImageDraw, x: float, y: float, tall: float, level: int) -> None:
    for tier in range(3):
        top, wide = y - tall * (0.45 + 0.28 * tier), tall * (0.27 - 0.06 * tier)
        low = y - tall * 0.27 * tier
        pen.polygon([(x, top - tall * 0.1), (x - wide, low), (x + wide, low)], fill=level)


def _planets(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    unit = min(width, height)
    for _ in range(chance.randint(2, 4)):
        x, y, radius = (
            width * chance.random(),
            height * chance.uniform(0.1, 0.6),
            unit * chance.uniform(0.04, 0.17),
        )
        level = chance.randint(90, 190)
        for slice_ in range(7):
            shift = radius * 0.07 * slice_
            _disc(pen, x - shift, y - shift, radius * (1 - 0.1 * slice_), min(252, level + 9 * slice_))
        if chance.random() < 0.5:
            box = (x - radius * 1.7, y - radius * 0.4, x + radius * 1.7, y + radius * 0.4)
            pen.arc(box, 165, 375, fill=245, width=max(1, round(radius / 12)))
    _hills(pen, width, height, chance)


def _dunes(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    for depth, level in _layers(chance, 4, 5):
        line = ridge(width, height * (0.56 + 0.27 * depth), height * 0.06, 0.0, chance)
        pen.polygon([*line, (width, height), (0, height)], fill=min(250, level + 34))
        crest = min(range(8, len(line) - 12), key=lambda k: line[k][1])
        lee = [*line[crest:], (width, height), (line[crest][0] - width * chance.uniform(0.05, 0.3), height)]
        pen.polygon(lee, fill=level)


COMPOSITIONS: tuple[_Composition, ...] = (_hills, _peaks, _sea, _skyline, _forest, _planets, _dunes)
