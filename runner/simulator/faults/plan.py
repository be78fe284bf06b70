"""Which request meets which fault."""

from __future__ import annotations

import re
from collections import Counter

from runner.simulator.faults.kinds import KINDS, Fault
from runner.simulator.pictures.picture import digest

MARKERS = (
    Fault("moderation", match=re.compile(r"\[\[refuse\]\]")),
    Fault("rate_limit", match=re.compile(r"\[\[throttle\]\]"), times=1),
    Fault("server_error", match=re.compile(r"\[\[error\]\]"), times=1),
)
"""Faults that a prompt asks for itself; they work with and without a scenario, after the scenario's own."""


class FaultPlan:
    """Chooses the fault of each admitted request: the first in file order that applies and is not used up."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self._faults = (*faults, *MARKERS)
        self._seed = seed
        self._met: Counter[tuple[int, str]] = Counter()

    def choose(self, prompt: str, row: int, *, for_task: bool = False) -> Fault | None:
        """The fault that this attempt meets, counted as met. row: the prompt's place, see `Fault.rows`.

        for_task: the request asks for a task.
        """
        for place, fault in enumerate(self._faults):
            meant = KINDS[fault.kind].for_task in (None, for_task)
            if not meant or not self._applies(place, fault, prompt, row):
                continue
            if fault.times is None:
                return fault
            if self._met[place, prompt] < fault.times:
                self._met[place, prompt] += 1
                return fault
        return None

    def _applies(self, place: int, fault: Fault, prompt: str, row: int) -> bool:
        if fault.match is not None:
            return fault.match.search(prompt) is not None
        if fault.rows is not None:
            return row in fault.rows
        share = 0.0 if fault.share is None else fault.share
        return digest(self._seed, place, prompt) < share * 2**128
