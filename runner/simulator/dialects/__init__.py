"""Every dialect that the simulator speaks, by name."""

from __future__ import annotations

from runner.simulator.dialects.model import Dialect
from runner.simulator.dialects.relays import RELAYS
from runner.simulator.dialects.servers import SERVERS

OFFICIAL = "official"
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Dialect(OFFICIAL), *RELAYS, *SERVERS)}
