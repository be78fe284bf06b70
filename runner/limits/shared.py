"""One allowance for several runs on one machine that use the same key (`limits.share = "name"`).

A small SQLite file in the user's state folder holds what was sent within the last window. A permit is one transaction:
forget what is old, add up, and either record this request or learn how long to wait. No process has to be in charge,
and a killed one leaves nothing that time does not remove.
"""

from __future__ import annotations

import asyncio
import math
import re
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.sliding_window import LOOK_S, in_window, margin_s
from runner.process.state_folder import state_folder
from schemas.errors import JobError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHORTEST_WAIT_S = 0.002
_OPENING_S = 30.0
"""For so long a request counts that waits for its connection; that takes 10 s at most. A killed run's waits for nothing."""
_FUTURE = 100
"""Windows ahead that a record may lie; what lies further was written by a clock that has been set back since."""


class SharedLog:
    """Recent requests of all runs that share this name. Wall-clock seconds, which the machine's processes share."""

    def __init__(self, path: Path, limits: Mapping[str, float], window_s: float) -> None:
        """limits: a minute's, by unit. Raises JobError when the state folder cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(
                path, isolation_level=None, timeout=30, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS sent (at REAL NOT NULL, unit TEXT NOT NULL, amount REAL NOT NULL)"
            )
            self._connection.execute("CREATE INDEX IF NOT EXISTS sent_by_unit ON sent (unit, at)")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS waiting (sent INTEGER PRIMARY KEY, until REAL NOT NULL)"
            )
        except (OSError, sqlite3.Error) as error:
            raise JobError(
                f"limits.share: {path} cannot be used: {error}", fix="check the folder's permissions"
            ) from None
        windows = {unit: in_window(rate, window_s) for unit, rate in limits.items()}
        self._limits = {unit: amount for unit, (amount, _) in windows.items()}
        self._spans_s = {unit: span + margin_s(span, amount) for unit, (amount, span) in windows.items()}
        self._longest_s = max(self._spans_s.values())

    @classmethod
    def named(cls, name: str, limits: Mapping[str, float], window_s: float) -> SharedLog:
        """The shared allowance of this name. Raises JobError for a name that is no plain word, or without limits."""
        if _NAME.fullmatch(name) is None or name.startswith("."):
            raise JobError("limits.share must be a plain name of letters, digits, '-', '_' and '.'")
        if not limits:
            raise JobError("limits.share has nothing to share", fix="set limits.rpm or limits.ipm too")
        return cls(state_folder() / f"{name}.sqlite", limits, window_s)

    async def acquire(self, amounts: Mapping[str, float]) -> SharedPlace:
        """Wait until every amount fits, and record them."""
        while not isinstance(found := self._try(amounts, time.time()), SharedPlace):  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(max(_SHORTEST_WAIT_S, found))
        return found

    def _try(self, amounts: Mapping[str, float], now: float) -> SharedPlace | float:
        """The place that was taken; else the seconds after which to try again.

        A request heavier than the limit is recorded in as many windows as it fills, ours and the coming ones.
        """
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        run("DELETE FROM waiting WHERE until <= ? OR until > ?", (now, now + _OPENING_S))
        run(
            "DELETE FROM sent WHERE (at <= ? OR at > ?) AND rowid NOT IN (SELECT sent FROM waiting)",
            (now - self._longest_s, now + _FUTURE * self._longest_s),
        )
        wait = max(self._wait(unit, amount, now) for unit, amount in amounts.items())
        rows: list[int] = []
        if wait <= 0:
            for unit, amount in amounts.items():
                limit, span_s = self._limits[unit], self._spans_s[unit]
                for window in range(min(_FUTURE, max(1, math.ceil(amount / limit)))):
                    record = (now + window * span_s, unit, min(amount, limit))
                    rows.append(int(run("INSERT INTO sent VALUES (?, ?, ?)", record).lastrowid or 0))
        for row in rows:
            run("INSERT OR REPLACE INTO waiting VALUES (?, ?)", (row, now + _OPENING_S))
        run("COMMIT")
        return SharedPlace(self._connection, now, tuple(rows)) if rows else wait

    def _wait(self, unit: str, amount: float, now: float) -> float:
        limit, span_s = self._limits[unit], self._spans_s[unit]
        rows = self._connection.execute(
            "SELECT at, amount FROM sent WHERE unit = ? AND (at > ? OR rowid IN (SELECT sent FROM waiting)) ORDER BY at",
            (unit, now - span_s),
        ).fetchall()
        excess = sum(row[1] for row in rows) + min(amount, limit) - limit
        for at, sent in rows:
            if excess <= 1e-9:
                break
            excess -= sent
            if excess <= 1e-9:
                left = float(at) + span_s - now
                return left if left > 0 else LOOK_S
        return 0.0


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """One request in the log. at: wall-clock seconds of its record. rows: the log's."""

    connection: sqlite3.Connection
    at: float
    rows: tuple[int, ...]

    def leave(self) -> None:
        """The request leaves now."""
        self._settle(time.time() - self.at)

    def give_back(self) -> None:
        """The request will not leave. It counts for a window from its record."""
        self._settle(0.0)

    def _settle(self, late_s: float) -> None:
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        for row in self.rows:
            run("UPDATE sent SET at = at + ? WHERE rowid = ?", (late_s, row))
            run("DELETE FROM waiting WHERE sent = ?", (row,))
        run("COMMIT")
