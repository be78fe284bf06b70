"""Attempts that the ledger has forgotten, taken in again from what they left, so that nothing is paid for twice.

The results table tells nearly all of an attempt. Of those that are newer than it, images and quarantined bodies tell the
attempt and the row by their names; they are taken in where just one row of the manifest can be meant, and images only where
they are whole. The costs of the latter are estimated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.cost import Prices, outcome_cost
from jobs.naming import slug
from runner.artifacts.atomic_files import Folder
from runner.ledger import attempt_log
from runner.ledger.completion_cache import MAP_NAME
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.writer import Statement
from runner.maintenance.audit import FileProblem
from runner.maintenance.forgotten_attempts import Forgotten, from_names, from_table, of_files
from runner.planning.row_stream import RowStream
from runner.process.clock import wall_ms
from runner.process.version import VERSION
from runner.workspace.folder import Workspace
from runner.workspace.newest_attempt import newest_trace
from runner.workspace.recovery import recover_images
from schemas.artifacts import Check
from schemas.attempt import Intent, Measured
from schemas.failures import RowStatus
from schemas.outcome import ABSENT, Failed, Success, Task
from schemas.output_folder import LEDGER_NAME
from schemas.row import Row

_COMMAND = '{"command": "verify"}'


@dataclass
class Adoption:
    """What was taken in. attempts: their numbers. unknown: files of whose attempts the row cannot be told."""

    attempts: set[int] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)


class Adopter:
    """Takes in what one folder's files tell of attempts from the ledger's next one on. Call while holding its lock."""

    def __init__(
        self,
        ledger: LedgerFile,
        folder: Folder,
        stream: RowStream,
        prices: Prices,
        *,
        check: Check,
        now_ms: int,
    ) -> None:
        self._ledger = ledger
        self._folder = folder
        self._stream = stream
        self._prices = prices
        self._check = check
        self._now_ms = now_ms
        self._since = ledger.next_attempt()
        self._runs: dict[str, int] = {}
        self._next_item = ledger.next_item()
        self._new_items: dict[bytes, int] = {}
        self._adopted = Adoption()

    def adopt(self) -> Adoption:
        """Record what can be told. Raises OSError where a file cannot be read."""
        table = from_table(self._folder.root, self._since)
        files = of_files(self._folder.root, self._since)
        by_slug: dict[str, list[Row]] = defaultdict(list)
        index = self._ledger.item_index()
        for batch in self._stream.batches():
            rows = [row for row in batch.rows if isinstance(row, Row)]
            for row, item in zip(rows, index.items(rows), strict=True):
                for told in table.of_row(row):
                    self._record(told, None if item == ABSENT else item)
                if (name := slug(row.row_id)) in files.slugs:
                    by_slug[name] = [*by_slug[name], row][:2]
        for attempt, found in sorted(files.by_attempt.items()):
            if attempt in self._adopted.attempts:
                continue
            rows = by_slug.get(found.slug, [])
            told_by_name = (
                from_names(self._folder, attempt, found, rows[0], self._check) if len(rows) == 1 else None
            )
            if told_by_name is None:
                self._adopted.unknown += found.paths
            else:
                (item,) = index.items([told_by_name.row])
                self._record(told_by_name, None if item == ABSENT else item)
        return self._adopted

    def _record(self, told: Forgotten, item: int | None) -> None:
        if told.attempt in self._adopted.attempts:
            return
        self._adopted.attempts.add(told.attempt)
        print_ = told.row.fingerprint
        fresh = item is None and print_ not in self._new_items
        if item is None:
            item = self._new_items.setdefault(print_, self._next_item)
            self._next_item += fresh
        intent = Intent(
            told.attempt,
            item,
            self._run(told.endpoint),
            told.row,
            told.sent_ms or self._now_ms,
            None,
            fresh,
            told.indexes,
        )
        self._ledger.record([*attempt_log.intent_records(intent), *self._outcome(told)])

    def _outcome(self, told: Forgotten) -> Iterator[Statement]:
        """How it ended; nothing for an attempt that was in flight, which the next run parks or polls."""
        if told.task_id is not None and told.outcome is None:
            yield from attempt_log.accepted_task(told.attempt, Task(told.task_id), self._now_ms)
        if told.outcome is None:
            return
        cost, estimated = told.cost_usd, told.cost_estimated
        if cost is None and told.sent_ms is None:
            cost, estimated = outcome_cost(told.outcome, told.row.request, self._prices)
        measured = Measured(told.attempt, told.finished_ms or self._now_ms, told.latency_s, cost, estimated)
        match told.outcome:
            case Success():
                yield from attempt_log.success(told.outcome, measured)
            case Failed():
                yield from attempt_log.failure(told.outcome, told.status or RowStatus.FAILED, measured)

    def _run(self, endpoint: str) -> int:
        """The run that stands for all runs that the ledger has forgotten, one for each endpoint."""
        if endpoint not in self._runs:
            self._runs[endpoint] = self._ledger.start_run(
                f"adopted-{self._now_ms}-{len(self._runs)}",
                started_ms=self._now_ms,
                version=VERSION,
                endpoint=endpoint,
                command=_COMMAND,
            )
        return self._runs[endpoint]


def take_in(workspace: Workspace, stream: RowStream, prices: Prices) -> list[FileProblem]:
    """Take in what the ledger has forgotten, if anything; what was wrong, as `verify` tells it. Raises JobError, OSError."""
    ledger, out = workspace.ledger, workspace.out
    trace, known = newest_trace(out), ledger.next_attempt()
    if trace is None or trace.attempt < known:
        return []
    check = stream.job.output.image_check
    adopter = Adopter(ledger, workspace.folder, stream, prices, check=check, now_ms=wall_ms())
    adopted = adopter.adopt()
    recover_images(ledger, workspace.folder, check=check, now_ms=wall_ms(), since=known)
    (out / MAP_NAME).unlink(missing_ok=True)  # of the ledger that is gone; the next run makes another
    silent = trace.attempt + 1 - known - len(adopted.attempts)
    text = f"knew {known:,} of {trace.attempt + 1:,} requests; {len(adopted.attempts):,} taken in from the files beside it"
    if silent:
        text += f", {silent:,} have left no trace of their rows and may have been paid for"
    unknown = "left by a request that the ledger has forgotten, for a row that cannot be told: move it away to go on"
    return [
        FileProblem(LEDGER_NAME, text, repaired=True),
        *(FileProblem(path, unknown) for path in adopted.unknown),
    ]
