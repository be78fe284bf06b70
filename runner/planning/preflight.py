"""Before the first request: the manifest held against what the folder has sent."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field

from jobs.manifest_diff import warnings
from runner.ledger.completion_cache import DoneMap
from runner.ledger.item_index import ItemIndex
from runner.ledger.reader import next_number
from runner.planning.manifest_diff import census
from runner.planning.row_stream import Intake
from runner.planning.settings_drift import settings_warnings
from runner.planning.version_pins import Standing
from runner.workspace.folder import OpenFolder


@dataclass(frozen=True, slots=True)
class Examined:
    """standing: earlier versions that stand for edited rows. warnings: what the user should know."""

    standing: Standing = field(default_factory=Standing)
    warnings: tuple[str, ...] = ()


def told_of(command: str, done: DoneMap | None) -> str:
    """What the ledger keeps of a run: its command (JSON), and with a map the manifest that it is of."""
    return command if done is None else json.dumps({**json.loads(command), "manifest": done.manifest})


def nothing_else_sent(connection: sqlite3.Connection, done: DoneMap) -> bool:
    """Whether all that was sent since the map was made was of its manifest, so that no row can have been edited."""
    told = connection.execute(
        "SELECT DISTINCT command FROM runs WHERE run IN (SELECT run FROM attempts WHERE attempt >= ?)",
        (done.attempts,),
    ).fetchall()
    return all(command and json.loads(command).get("manifest") == done.manifest for (command,) in told)


def examine(intake: Intake, place: OpenFolder, index: ItemIndex) -> Examined:
    """Look for edited rows; the whole manifest is read, but for one that is known to be unchanged.

    That is one of which there is a map, made when no row was edited and since when nothing was sent of another.
    Raises JobError (exit 2) where `run.on_change` is `stop` and there are edited rows that it is about.
    """
    connection = place.connection
    if not next_number(connection, "items", "item"):
        return Examined()
    if place.done is not None and nothing_else_sent(connection, place.done):
        return Examined(warnings=tuple(settings_warnings(intake, connection, place.out, place.done.items)))
    found = census(intake, connection, index, place.done)
    found.refuse(place.out)
    told = warnings(found.changes(), whole=found.whole)
    return Examined(found.standing, (*told, *settings_warnings(intake, connection, place.out, found.present)))
