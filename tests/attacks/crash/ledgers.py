"""What a dead run's ledger says, read from a copy, so that looking changes nothing for the next run."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

NAME = "ledger.sqlite"
SUFFIXES = ("", "-wal", "-journal")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. status None: no outcome. images: (index, file name, sha256) of its outcome.

    waits: others of its images are made, and still to be fetched.
    """

    number: int
    prompt: str
    status: str | None
    maybe_billed: int
    images: tuple[tuple[int, str, str], ...]
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every attempt, oldest first. Empty when there is no ledger yet, or none that was laid out."""

    attempts: tuple[Attempt, ...] = ()

    def of(self, prompt: str) -> list[Attempt]:
        """The attempts of one prompt."""
        return [attempt for attempt in self.attempts if attempt.prompt == prompt]

    @property
    def dangling(self) -> list[Attempt]:
        """Attempts without an outcome."""
        return [attempt for attempt in self.attempts if attempt.status is None]

    @property
    def acknowledged(self) -> list[Attempt]:
        """Attempts with images that count."""
        return [attempt for attempt in self.attempts if attempt.status == "succeeded"]


def read(out: Path) -> Ledger:
    """The ledger below `out`. Raises sqlite3.DatabaseError when it is damaged."""
    with copied(out) as folder:
        return read_in_place(folder) if (folder / NAME).exists() else Ledger()


@contextmanager
def copied(out: Path) -> Iterator[Path]:
    """A folder with a copy of the ledger below `out`, where there is one, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        copy = Path(folder) / NAME
        for suffix in SUFFIXES:
            if (part := out / f"{NAME}{suffix}").exists():
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
        yield Path(folder)


def read_in_place(out: Path) -> Ledger:
    """The same, where the folder may be changed by looking."""
    with closing(sqlite3.connect(out / NAME)) as connection:
        return _read(connection)


def _read(connection: sqlite3.Connection) -> Ledger:
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        return Ledger()
    problem = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)
    images: dict[int, list[tuple[int, str, str]]] = {}
    for attempt, index, name, digest in connection.execute(
        "SELECT attempt, idx, file_name, sha256 FROM images ORDER BY attempt, idx"
    ):
        images.setdefault(attempt, []).append((index, name, digest.hex()))
    waiting = {attempt for (attempt,) in connection.execute("SELECT attempt FROM unfetched")}
    rows = connection.execute(
        "SELECT attempt, coalesce(attempts.prompt, items.prompt), status, coalesce(maybe_billed, 0) "
        "FROM attempts JOIN items USING (item) LEFT JOIN outcomes USING (attempt) ORDER BY attempt"
    )
    return Ledger(
        tuple(
            Attempt(number, prompt, status, maybe_billed, tuple(images.get(number, ())), number in waiting)
            for number, prompt, status, maybe_billed in rows
        )
    )
