"""Kills in the midst of tasks (G7), in the numbers that every run of the suite can afford.

More by hand: `python -m tests.attacks.dialects --kills 200`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.dialects import kills

SEED = 20261122


def test_a_few_kills(tmp_path: Path) -> None:
    figures = kills.campaign(tmp_path, 6, 60, SEED)
    assert figures.violations == []
    assert (figures.kills, figures.again) == (6, 0)
    assert figures.succeeded + figures.parked == figures.rows
    assert figures.collected >= figures.succeeded


@pytest.mark.campaign
def test_many_kills(tmp_path: Path) -> None:
    figures = kills.campaign(tmp_path, 200, 500, SEED)
    assert figures.violations == []
    assert (figures.kills, figures.again) == (200, 0)
