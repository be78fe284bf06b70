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

from jobs.sliding_window import margin_s
from runner.process.state_folder import state_folder
from schemas.errors import JobError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHORTEST_WAIT_S = 0.002
_FUTURE = 100
"""Windows ahead that a record may lie; what lies further was written by a clock that has been set back since."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request in the log. at: wall-clock seconds of its record. rows: the log's."""

    at: float
    rows: tuple[int, ...]


class SharedLog:
    """What all runs that share this name sent lately. Wall-clock seconds, which the machine's processes share."""

    def __init__(self, path: Path, limits: Mapping[str, float], window_s: float) -> None:
        """Raises JobError when the state folder cannot be written."""
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
        except (OSError, sqlite3.Error) as error:
            raise JobError(
                f"limits.share: {path} cannot be used: {error}", fix="check the folder's permissions"
            ) from None
        self._limits = dict(limits)
        self._span_s = window_s + margin_s(window_s, min(limits.values()))

    @classmethod
    def named(cls, name: str, limits: Mapping[str, float], window_s: float) -> SharedLog:
        """The shared allowance of this name. Raises JobError for a name that is no plain word, or without limits."""
        if _NAME.fullmatch(name) is None or name.startswith("."):
            raise JobError("limits.share must be a plain name of letters, digits, '-', '_' and '.'")
        if not limits:
            raise JobError("limits.share has nothing to share", fix="set limits.rpm or limits.ipm too")
        return cls(state_folder() / f"{name}.sqlite", limits, window_s)

    async def take(self, amounts: Mapping[str, float]) -> Recorded:
        """Wait until every amount fits, and record them."""
        while not isinstance(found := self._try(amounts, time.time()), Recorded):  # noqa: ASYNC110 - others tell nobody
            await asyncio.sleep(max(_SHORTEST_WAIT_S, found))
        return found

    def sent(self, recorded: Recorded) -> None:
        """The request leaves only now: until here it counted from when it was recorded."""
        late = time.time() - recorded.at
        self._connection.executemany(
            "UPDATE sent SET at = at + ? WHERE rowid = ?", [(late, row) for row in recorded.rows]
        )

    def _try(self, amounts: Mapping[str, float], now: float) -> Recorded | float:
        """What was recorded; otherwise seconds after which trying again may succeed.

        A request heavier than the limit is recorded in as many windows as it fills, ours and the coming ones.
        """
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        run("DELETE FROM sent WHERE at <= ? OR at > ?", (now - self._span_s, now + _FUTURE * self._span_s))
        wait = max(self._wait(unit, amount, now) for unit, amount in amounts.items())
        rows: list[int] = []
        if wait <= 0:
            for unit, amount in amounts.items():
                limit = self._limits[unit]
                for window in range(min(_FUTURE, max(1, math.ceil(amount / limit)))):
                    record = (now + window * self._span_s, unit, min(amount, limit))
                    rows.append(int(run("INSERT INTO sent VALUES (?, ?, ?)", record).lastrowid or 0))
        run("COMMIT")
        return Recorded(now, tuple(rows)) if rows else wait

    def _wait(self, unit: str, amount: float, now: float) -> float:
        limit = self._limits[unit]
        rows = self._connection.execute(
            "SELECT at, amount FROM sent WHERE unit = ? ORDER BY at", (unit,)
        ).fetchall()
        excess = sum(row[1] for row in rows) + min(amount, limit) - limit
        for at, sent in rows:
            if excess <= 1e-9:
                break
            excess -= sent
            if excess <= 1e-9:
                return max(0.0, float(at) + self._span_s - now)
        return 0.0
