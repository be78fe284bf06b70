"""The parts of a run, ready for its engine."""

from __future__ import annotations

from typing import NamedTuple

from runner.attempt import AttemptLine
from runner.ending import Ending
from runner.folder import Headroom
from runner.money import Budget
from runner.verdicts import Verdicts
from runner.work import Source


class EngineParts(NamedTuple):
    """What an engine drives.

    cost_usd: what earlier runs of the folder cost, None when nothing is known of it.
    """

    source: Source
    line: AttemptLine
    budget: Budget
    ending: Ending
    verdicts: Verdicts
    headroom: Headroom
    cost_usd: float | None
