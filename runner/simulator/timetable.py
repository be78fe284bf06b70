"""What changes with time: limits that are lowered or raised, and outages. Seconds count from the first request."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.simulator.faults.kinds import KINDS, Fault, Stage
from runner.simulator.sliding_window import Limits

OUTAGE_KINDS = tuple(kind.name for kind in KINDS.values() if kind.stage in (Stage.REFUSAL, Stage.PAGE))
"""Kinds of fault that a whole service can have."""


@dataclass(frozen=True, slots=True)
class LimitsChange:
    """From `after_s` on these limits hold; None leaves a limit as it was."""

    after_s: float
    rpm: float | None = None
    ipm: float | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """From `after_s` on, for `seconds`, every request meets this fault, before any limit."""

    after_s: float
    seconds: float
    fault: Fault


@dataclass(frozen=True, slots=True)
class Timetable:
    """What a scenario plans. `elapsed`: seconds since the first request."""

    limits: Limits
    changes: tuple[LimitsChange, ...] = ()
    outages: tuple[Outage, ...] = ()

    def limits_at(self, elapsed: float) -> Limits:
        """The limits that hold then."""
        limits = self.limits
        for change in sorted(self.changes, key=lambda change: change.after_s):
            if change.after_s <= elapsed:
                limits = replace(
                    limits,
                    rpm=limits.rpm if change.rpm is None else change.rpm,
                    ipm=limits.ipm if change.ipm is None else change.ipm,
                )
        return limits

    def outage_at(self, elapsed: float) -> Fault | None:
        """The fault that every request meets then; None while the service is up."""
        for outage in self.outages:
            if outage.after_s <= elapsed < outage.after_s + outage.seconds:
                return outage.fault
        return None
