"""Throughput and memory against requests in flight, for imagemill and its peers, as an SVG."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from math import log2
from pathlib import Path

from tests.bench.peers.contestants import AIOHTTP, LIMIT, MILL, OPENAI, Ground, Result, Task
from tests.bench.peers.goals import Reached
from tests.bench.peers.pictures import BIG
from tests.bench.peers.programs import Serving
from tests.bench.peers.traffic import Size

IN_FLIGHT = (1, 4, 16, 64, 256, 512)
COLOURS = {LIMIT: "#8a8a8a", MILL: "#d1495b", AIOHTTP: "#00798c", OPENAI: "#edae49"}
_WIDTH, _HEIGHT, _LEFT, _TOP = 400, 260, 60, 40
_TICKS = 4


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram. values: by contestant, one for each of `IN_FLIGHT`."""

    title: str
    values: dict[str, list[float]]

    @property
    def top(self) -> float:
        """A round number above every value."""
        most = max(max(values) for values in self.values.values())
        step = 10 ** (len(str(int(most))) - 1)
        return float((int(most / step) + 1) * step)

    def point(self, place: int, value: float) -> tuple[float, float]:
        """Where a value stands, from the panel's corner."""
        across = log2(IN_FLIGHT[place]) / log2(IN_FLIGHT[-1])
        return _LEFT + across * _WIDTH, _TOP + _HEIGHT * (1 - value / self.top)


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


def _axes(panel: Panel) -> Iterator[str]:
    yield _text(_LEFT + _WIDTH / 2, 20, panel.title)
    for tick in range(_TICKS + 1):
        value = panel.top * tick / _TICKS
        _x, y = panel.point(0, value)
        yield f'<path d="M{_LEFT} {y:.0f}h{_WIDTH}" stroke="#ddd"/>'
        yield _text(_LEFT - 8, y + 4, f"{value:,.0f}", "end")
    for place, many in enumerate(IN_FLIGHT):
        yield _text(panel.point(place, 0)[0], _TOP + _HEIGHT + 18, str(many))
    yield _text(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 38, "requests in flight")


def _curves(panel: Panel) -> Iterator[str]:
    for name, values in panel.values.items():
        points = [panel.point(place, value) for place, value in enumerate(values)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{line}" fill="none" stroke="{COLOURS[name]}" stroke-width="2.5"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[name]}"/>' for x, y in points)


def drawn(panels: list[Panel]) -> str:
    """The picture."""
    apart, legend = _WIDTH + _LEFT + 30, _TOP + _HEIGHT + 66
    parts = []
    for number, panel in enumerate(panels):
        inner = "\n".join((*_axes(panel), *_curves(panel)))
        parts.append(f'<g transform="translate({number * apart} 0)">\n{inner}\n</g>')
    for number, name in enumerate(panels[0].values):
        x = _LEFT + number * 170
        parts.append(f'<rect x="{x}" y="{legend - 11}" width="14" height="14" fill="{COLOURS[name]}"/>')
        parts.append(_text(x + 20, legend + 1, name, "start"))
    width, height = len(panels) * apart + 20, legend + 20
    style = 'font-family="sans-serif" font-size="13" fill="#333"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {style}>'
    back = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join((head, back, *parts, "</svg>")) + "\n"


def plot(ground: Ground, size: Size, target: Path) -> Iterator[Reached]:
    """Measure every contestant at every number of requests in flight, and write the SVG. Yields no line of the table."""
    names = [LIMIT, MILL, AIOHTTP] + ([OPENAI] if ground.python_with_openai else [])
    rates: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, list[float]] = {name: [] for name in names}
    for many in IN_FLIGHT:
        found: dict[str, list[Result]] = {name: [] for name in names}
        for _ in range(size.rounds):
            for name in names:
                images = size.images if name in (MILL, LIMIT) else size.slow
                found[name].append(ground.run(name, Task(Serving(BIG), max(images, many), many)))
        for name, results in found.items():
            rates[name].append(statistics.median(result.rate for result in results))
            peaks[name].append(statistics.median(result.peak_mb for result in results))
    panels = [Panel("images a second (1.5 MB)", rates), Panel("peak memory, MB", peaks)]
    target.write_text(drawn(panels))
    yield from ()
