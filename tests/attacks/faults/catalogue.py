"""Every fault: what the server does and what must become of the row, the folder and the money.

The tables are in `cases`. A fault with `alone` gets a run of its own; the others share one manifest.
"""

from __future__ import annotations

from tests.attacks.faults.cases import (
    documents,
    fetches,
    frames,
    images,
    network,
    refusals,
    retries,
    stops,
    urls,
)
from tests.attacks.faults.expectation import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for module in (refusals, retries, network, frames, documents, images, urls, fetches, stops)
    for fault in module.FAULTS
}
"""All faults by name."""

MIXED: tuple[Fault, ...] = tuple(fault for fault in FAULTS.values() if fault.alone is None)
ALONE: tuple[Fault, ...] = tuple(fault for fault in FAULTS.values() if fault.alone is not None)
