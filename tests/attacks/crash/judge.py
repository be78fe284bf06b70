"""What must hold of a job's folder whenever its process is dead, and at the end; the journal and the ledger testify.

Each violation is a line that starts with the guarantee it breaks (GUARANTEES.md).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from runner.artifacts.spool import is_spool, spooled
from schemas.output_folder import TRIAL
from tests.attacks.crash import ledgers
from tests.attacks.crash.ledgers import Ledger
from tests.attacks.crash.rows import CrashRow
from tests.attacks.faults.drive import frozen_files
from tests.attacks.faults.journal import History

KNOWN = frozenset(
    {
        *("job.toml", "summary.json", "results.parquet", "images", "quarantine", "logs", ".lock"),
        *(".tmp", ".trial"),
        *("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite-journal"),
    }
)
"""What may stand in OUT."""

Record = dict[str, Any]


class Judge:
    """One job, from its first kill to its end. Remembers what it has seen, so that nothing may be lost or repeated.

    interrupted: prompts that had an attempt without an outcome at some kill; only they may be parked for it.
    """

    def __init__(self, out: Path, rows: list[CrashRow], concurrency: int) -> None:
        self.out = out
        self.rows = rows
        self.interrupted: set[str] = set()
        self.max_in_flight = 0
        self._concurrency = concurrency
        self._by_prompt = {row.prompt: row for row in rows if row.prompt}
        self._requests: dict[str, int] = {}
        self._attempts: dict[str, int] = {}
        self._images: dict[str, str] = {}

    @property
    def prompts(self) -> list[str]:
        """Every prompt that may be sent."""
        return list(self._by_prompt)

    def after_kill(self, history: History) -> list[str]:
        """What is wrong with the folder that a dead process left."""
        try:
            ledger = ledgers.read(self.out)
        except sqlite3.DatabaseError as error:
            return [f"G1: the ledger is damaged: {error}"]
        in_flight = ledger.dangling
        self.max_in_flight = max(self.max_in_flight, len(in_flight))
        self.interrupted |= {attempt.prompt for attempt in in_flight}
        problems = [*self._always(ledger, history)]
        if len(in_flight) > self._concurrency:
            problems.append(f"G4: {len(in_flight)} attempts in flight, {self._concurrency} are allowed")
        return problems

    def at_end(self, code: int | None, history: History) -> list[str]:
        """What is wrong with a job that ended by itself with this exit code."""
        ledger = ledgers.read(self.out)
        problems = [*self._always(ledger, history), *self._table(finished=True), *self._ends(history)]
        if ledger.dangling:
            problems.append(f"G15: {len(ledger.dangling)} attempts without an outcome at the end")
        whole = all(record["status"] == "succeeded" for record in self.records())
        if code != (0 if whole else 3):
            problems.append(f"G15: exit code {code}")
        left = [path.name for path in (self.out / ".tmp").iterdir()]
        if left:
            problems.append(f"G8: temporary files are left: {left}")
        return problems

    def records(self) -> list[Record]:
        """The results table; empty when there is none."""
        path = self.out / "results.parquet"
        return pq.read_table(path).to_pylist() if path.exists() else []

    def _always(self, ledger: Ledger, history: History) -> Iterator[str]:
        yield from self._acknowledged(ledger)
        yield from self._files(history)
        yield from self._requested(ledger, history)
        yield from self._table(finished=False)
        for attempt in ledger.attempts:
            lawful = (
                attempt.prompt in self.interrupted or self._by_prompt[attempt.prompt].sort.ends == "parked"
            )
            if attempt.status == "parked" and not lawful:
                yield f"G5: parked though it was never in flight: {attempt.prompt}"

    def _acknowledged(self, ledger: Ledger) -> Iterator[str]:
        now: dict[str, str] = {}
        for attempt in ledger.acknowledged:
            row = self._by_prompt[attempt.prompt]
            made = {index: digest for index, _, digest in attempt.images}
            whole = dict(enumerate(row.pictures))
            if made != whole and not (attempt.waits and made.items() <= whole.items()):
                yield f"G1: recorded images are not the row's pictures: {attempt.prompt}"
            for _, name, digest in attempt.images:
                now[name] = digest
                path = self.out / name
                if not path.is_file():
                    yield f"G1: acknowledged image {name} is not there"
                elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                    yield f"G1: acknowledged image {name} differs from its sha256"
        for name, digest in self._images.items():
            if now.get(name) != digest:
                yield f"G1: {name} was acknowledged and no longer is"
        self._images = now

    def _files(self, history: History) -> Iterator[str]:
        if not self.out.exists():
            return
        if strange := {path.name for path in self.out.iterdir()} - KNOWN:
            yield f"G8: unknown files in OUT: {sorted(strange)}"
        whole = {digest for row in self._by_prompt.values() for digest in row.pictures}
        told = (*history.all("flushed"), *history.all("part"))
        bodies = {digest for event in told for digest in event["body_sha256"]}
        for folder, allowed in (("images", whole), ("quarantine", bodies)):
            for path in (self.out / folder).rglob("*"):
                if path.name == TRIAL:
                    continue  # the next run removes it, or `verify` tells of it
                if is_spool(path.name):
                    yield from _spooled(path, whole | bodies)
                elif path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() not in allowed:
                    yield f"G8: {path.relative_to(self.out)} is not what the server sent"
        for name, read in (("summary.json", json.loads), ("job.toml", str)):
            path = self.out / name
            if path.exists():
                try:
                    read(path.read_text(encoding="utf-8"))
                except ValueError as error:
                    yield f"G8: {name} cannot be read: {error}"

    def _requested(self, ledger: Ledger, history: History) -> Iterator[str]:
        """Nothing was sent that the ledger does not know, bought twice, or sent again once it was settled."""
        for prompt in self._by_prompt:
            requests, attempts = history.requests(prompt), ledger.of(prompt)
            if requests > len(attempts):
                yield f"G4: {requests} requests, {len(attempts)} in the ledger: {prompt}"
            if history.charged_requests(prompt) > 1:
                yield f"G3: paid {history.charged_requests(prompt)} times: {prompt}"
            if not attempts or attempts[-1].status == "pending":
                continue
            if len(attempts) > self._attempts.setdefault(prompt, len(attempts)):
                yield f"G3: another attempt after it was settled: {prompt}"
            if attempts[-1].status == "succeeded" and requests > self._requests.setdefault(prompt, requests):
                yield f"G3: sent again after it was acknowledged: {prompt}"

    def _table(self, *, finished: bool) -> Iterator[str]:
        try:
            records = self.records()
        except (pa.ArrowException, OSError) as error:
            yield f"G8: results.parquet cannot be read: {error}"
            return
        if not records and not finished:
            return
        found = [
            (record["row"], record["row_id"], record["prompt"], record["image_index"]) for record in records
        ]
        if found != [(row.position, row.row_id, row.prompt, i) for row in self.rows for i in range(row.n)]:
            yield "G0: results.parquet does not hold every row, in order, byte-exact"

    def _ends(self, history: History) -> Iterator[str]:
        by_row: dict[int, list[Record]] = {}
        for record in self.records():
            by_row.setdefault(record["row"], []).append(record)
        for row in self.rows:
            statuses = {record["status"] for record in by_row.get(row.position, ())}
            allowed = {row.sort.ends} | ({"parked"} if row.prompt in self.interrupted else set())
            if len(statuses) != 1 or not statuses <= allowed:
                yield f"G15: {sorted(statuses)}, not {sorted(allowed)}: {row.prompt or row.row_id}"
            paid = history.charged_requests(row.prompt)
            shown = "succeeded" in statuses or any(r["maybe_billed"] for r in by_row.get(row.position, ()))
            if paid and not shown:
                yield f"G5: paid, and the table shows neither image nor maybe_billed: {row.prompt}"
            if "succeeded" in statuses and paid != 1:
                yield f"G2: succeeded, and paid {paid} times: {row.prompt}"


def _spooled(path: Path, allowed: set[str]) -> Iterator[str]:
    """What is wrong with a spool file; its end may be cut."""
    for member in spooled(path):
        data = member.read()
        if data is not None and hashlib.sha256(data).hexdigest() not in allowed:
            yield f"G8: {member.name} in {path.name} is not what the server sent"


def changes(before: dict[str, bytes], out: Path) -> list[str]:
    """Files that a repeated run must leave alone and that differ from what they were (see `frozen_files`)."""
    now = frozen_files(out)
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return [f"G9: the repeated run changed {name}" for name in names]
