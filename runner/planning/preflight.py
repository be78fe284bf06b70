"""Before the first request: the manifest held against what the folder has sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobs.manifest_diff import warnings
from runner.ledger.item_index import ItemIndex
from runner.ledger.reader import LedgerReader
from runner.planning.manifest_diff import census
from runner.planning.row_stream import Intake
from runner.planning.settings_drift import settings_warnings
from runner.planning.version_pins import Standing


@dataclass(frozen=True, slots=True)
class Examined:
    """standing: earlier versions that stand for edited rows. warnings: what the user should know."""

    standing: Standing = field(default_factory=Standing)
    warnings: tuple[str, ...] = ()


def examine(intake: Intake, ledger: LedgerReader, index: ItemIndex) -> Examined:
    """Look for edited rows; the whole manifest is read, but for one that is known to be unchanged.

    That is one of which there is a map, made when no row was edited and since when nothing was sent of another.
    Raises JobError (exit 2) where `run.on_change` is `stop` and there are edited rows that it is about.
    """
    if not ledger.next_item():
        return Examined()
    completed = index.completed
    if completed.rows and ledger.nothing_else_sent(completed):
        return Examined(warnings=tuple(settings_warnings(intake, ledger, completed.items)))
    found = census(intake, ledger, index)
    found.refuse()
    told = warnings(found.changes(), whole=found.whole)
    return Examined(found.standing, (*told, *settings_warnings(intake, ledger, found.present)))
