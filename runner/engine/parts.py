"""The parts of a run, ready for its engine."""

from __future__ import annotations

from typing import NamedTuple

from runner.engine.attempt import AttemptLine
from runner.engine.policy import Verdicts
from runner.engine.queue import Source
from runner.engine.shutdown import Ending
from runner.limits.budget import Budget
from runner.workspace.reserve import Headroom


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
