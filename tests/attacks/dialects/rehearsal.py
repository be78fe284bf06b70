"""A job, the simulator that it is rehearsed with, and what both know afterwards."""

from __future__ import annotations

import csv
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attacks.crash import ledgers
from tests.attacks.dialects.ways import Way
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended, Service
from tests.support.waiting import until

Table = dict[tuple[str, int], dict[str, Any]]
"""Rows of a results table by id and image index."""

MARK = "thistle"
"""In the prompts of the rows that a scenario's fault is for."""
_MARKED = (3, 7)
_CYCLE = 20
_HANG_S = 180.0
_OUT = "out"


def write_manifest(path: Path, rows: int) -> None:
    """So many rows, every tenth of two images, two of twenty marked; quotes, commas, line ends and emoji among them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "prompt", "n", "size"))
        for row in range(rows):
            plant = (
                MARK if row % _CYCLE in _MARKED else ("moss", 'a "fern"', "rose, red", "lily\n🌸")[row % 4]
            )
            size = "384x256" if row % 5 == 1 else "256x256"
            writer.writerow((f"r{row}", f"{plant} beside pond {row}", 2 if row % 10 == 5 else 1, size))


@dataclass(frozen=True, slots=True)
class Recorded:
    """One attempt in the ledger. task_id: what the service promised; status: None without an outcome."""

    prompt: str
    task_id: str | None
    status: str | None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A job of distinct prompts. options: of every run of it."""

    command: CommandLine
    service: Service
    way: Way
    rows: int
    options: tuple[str, ...]

    def run(self, *options: str) -> Ended:
        """Run to the end."""
        return self.command(*self._arguments(options), environ=WITH_CANARY, timeout_s=_HANG_S)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start without waiting."""
        return self.command.start(*self._arguments(options), environ=WITH_CANARY)

    def kill_once(self, reached: Callable[[], bool]) -> int:
        """Start, kill -9 as soon as it holds; the exit code, -9 unless it ended before."""
        process = self.start()
        until(lambda: process.poll() is not None or reached(), _HANG_S)
        process.kill()
        process.communicate()
        return process.returncode

    def _arguments(self, options: tuple[str, ...]) -> tuple[str, ...]:
        fixed = ("run", "prompts.csv", "--base-url", self.service.base_url, "--out", _OUT, "--json", "-q")
        return (*fixed, "--set", "endpoint.poll_every=0.05", *self.way.options, *self.options, *options)

    def verify(self) -> str:
        """What `imagemill verify` finds; "" for nothing."""
        ended = self.command("verify", _OUT)
        return f"{ended.out}{ended.err}" if ended.code else ""

    def answered(self) -> int:
        """Requests that the service has seen through: images sent, or tasks whose images were collected."""
        stats = self.service.stats()
        return int(stats["tasks"]["collected"] if self.way.tasks else stats["statuses"].get("200", 0))

    def sent(self) -> Counter[str]:
        """Requests by prompt, counted by the service."""
        return Counter(self.service.stats()["by_prompt"])

    def table(self) -> Table:
        """`results.parquet`."""
        rows = self.command.results(_OUT)
        found = {(row["row_id"], row["image_index"]): row for row in rows}
        assert len(found) == len(rows)
        return found

    def ledger(self) -> list[Recorded]:
        """Every attempt, oldest first; of a copy, so that a dead run's ledger stays what it is."""
        with ledgers.copied(self.command.cwd / _OUT) as folder:
            if not (folder / ledgers.NAME).exists():
                return []
            with closing(sqlite3.connect(folder / ledgers.NAME)) as connection:
                return _recorded(connection)


def _recorded(connection: sqlite3.Connection) -> list[Recorded]:
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        return []
    rows = connection.execute(
        "SELECT coalesce(attempts.prompt, items.prompt), tasks.task_id, outcomes.status "
        "FROM attempts JOIN items USING (item) LEFT JOIN tasks USING (attempt) "
        "LEFT JOIN outcomes USING (attempt) ORDER BY attempt"
    )
    return [Recorded(*row) for row in rows]


@contextmanager
def rehearsal(
    folder: Path, way: Way, rows: int, *, latency_s: float = 0.2, faults: str = "", concurrency: int = 8
) -> Iterator[Rehearsal]:
    """A job in a new folder, and its simulator for as long as the block lasts. faults: TOML."""
    folder.mkdir(parents=True)
    write_manifest(folder / "prompts.csv", rows)
    scenario = folder / "scenario.toml"
    scenario.write_text(faults, encoding="utf-8")
    command = CommandLine(folder)
    behaves = ("--profile", "openai") if "openai" in way.options else ()
    speaks = ("--dialect", way.speaks, "--latency", str(latency_s), "--scenario", str(scenario))
    with Service(command, *speaks, *behaves) as service:
        yield Rehearsal(command, service, way, rows, ("--concurrency", str(concurrency)))
