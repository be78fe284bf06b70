"""What a run counts, and the numbers it gives to what it adds to the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass
class Counters:
    """What this run has done so far. done, failed, parked: images. in_flight, sent: requests."""

    done: int = 0
    failed: int = 0
    parked: int = 0
    in_flight: int = 0
    sent: int = 0


class Numbers(NamedTuple):
    """The run's own number, and the first attempt and item numbers that it may use."""

    run: int
    attempt: int
    item: int
