"""Every dialect that the simulator speaks, by name."""

from __future__ import annotations

from dataclasses import replace

from runner.simulator.dialects.model import Dialect
from runner.simulator.dialects.relays import RELAYS
from runner.simulator.dialects.servers import SERVERS
from schemas.providers import DEFAULT_PROFILE, PROFILES

OFFICIAL = "official"
_TASKS = next(relay.task for relay in RELAYS if relay.name == PROFILES[DEFAULT_PROFILE].dialect)
"""Documents of the tasks that a fault makes at a service without any of its own."""

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect(OFFICIAL, task=_TASKS),
        *RELAYS,
        *(replace(server, task=_TASKS) for server in SERVERS),
    )
}
