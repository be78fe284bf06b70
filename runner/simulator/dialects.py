"""Every dialect that the simulator speaks, by name."""

from __future__ import annotations

from runner.simulator.cousins import COUSINS
from runner.simulator.protocol import Dialect
from runner.simulator.relays import RELAYS

OFFICIAL = "official"
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Dialect(OFFICIAL), *RELAYS, *COUSINS)}
