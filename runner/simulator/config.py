"""The configuration of a simulator as a value."""

from __future__ import annotations

from dataclasses import dataclass

from runner.simulator.answers.document import Latency
from runner.simulator.dialects import OFFICIAL
from runner.simulator.faults.kinds import Fault
from runner.simulator.sliding_window import Limits
from runner.simulator.timetable import LimitsChange, Outage
from schemas.providers import DEFAULT_PROFILE

DEFAULT_LATENCY = Latency()
NO_LIMITS = Limits()
P95_TO_MEDIAN = 2.5
"""p95 of the latency where only the median is given."""
REALISTIC_LATENCY = Latency(35.0, 60.0)
"""Nine in ten answers take 20 to 60 s: between what services promise (10 to 30 s) and what users of gpt-image-2 report at
medium quality (80 s; high: 195 s). https://ofox.ai/blog/gpt-image-2-generation-failures-fixes/"""


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """Everything that decides how the simulator behaves.

    seed: of images, latencies and shares. profile: a name in `PROFILES`, whose documented behaviour it has.
    dialect: a name in `DIALECTS`, whose protocol it speaks. realistic: image files are as large as real ones.
    """

    seed: int = 0
    profile: str = DEFAULT_PROFILE
    dialect: str = OFFICIAL
    realistic: bool = False
    latency: Latency = DEFAULT_LATENCY
    limits: Limits = NO_LIMITS
    limits_changes: tuple[LimitsChange, ...] = ()
    outages: tuple[Outage, ...] = ()
    faults: tuple[Fault, ...] = ()
