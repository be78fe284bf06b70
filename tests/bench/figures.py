"""A figure beside the bar it has to meet."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """value against bar, in the same unit. at_most: whether less is better."""

    name: str
    value: float
    bar: float
    at_most: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return self.value <= self.bar if self.at_most else self.value >= self.bar


def at_most(name: str, value: float, bar: float, note: str = "") -> Figure:
    """A figure that must not be above its bar."""
    return Figure(name, value, bar, True, note)


def at_least(name: str, value: float, bar: float, note: str = "") -> Figure:
    """A figure that must not be below its bar."""
    return Figure(name, value, bar, False, note)


def show(figure: Figure) -> None:
    """Print one line."""
    sign = "<=" if figure.at_most else ">="
    verdict = "met" if figure.met else "MISSED"
    value, bar = f"{figure.value:.4g}", f"{sign} {figure.bar:g}"
    line = f"{figure.name:<66} {value:>9}  {bar:<8}  {verdict:<6}  {figure.note}"
    sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()


def load() -> str:
    """How busy the machine is, because figures near a bar depend on it."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
