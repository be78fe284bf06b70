"""Colours of a picture."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from runner.simulator.pictures.scene import ramp


def test_colours_run_from_dark_to_pale() -> None:
    for seed in range(200):
        table = ramp(Random(seed))
        lumas = [
            299 * r + 587 * g + 114 * b for r, g, b in zip(table[::3], table[1::3], table[2::3], strict=True)
        ]
        assert lumas[14] < 75_000
        assert lumas[250] > 190_000
        assert all(low <= high + 6_000 for low, high in pairwise(lumas))
