"""Sums and means over a folder's ledger: what was sent, kept and paid, and what answers were like."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np

from schemas.failures import FailureKind

NEVER_SENT = f"'{FailureKind.CONNECT}', '{FailureKind.LOCAL}'"
"""Kinds of attempts that ended before their request's first byte left."""
LATER = f"'{FailureKind.DOWNLOAD}', '{FailureKind.DOWNLOAD_REFUSED}'"
"""Kinds of pending attempts that are not sent again: their images are fetched."""
_EVER = 2**62
_RECENT = 1_000_000
"""No window holds more requests than this."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the folder's whole life. spent_usd: cost of paid answers plus what maybe-billed attempts reserved.

    requests: attempts. sent: those whose first byte left, or may have. resent: ambiguous ones that were sent again.
    """

    requests: int = 0
    sent: int = 0
    images: int = 0
    maybe_billed: int = 0
    cost_usd: float | None = None
    spent_usd: float = 0.0
    resent: int = 0

    def plus(self, other: Totals) -> Totals:
        """The sum of both."""
        costs = [cost for cost in (self.cost_usd, other.cost_usd) if cost is not None]
        return Totals(
            self.requests + other.requests,
            self.sent + other.sent,
            self.images + other.images,
            self.maybe_billed + other.maybe_billed,
            sum(costs) if costs else None,
            self.spent_usd + other.spent_usd,
            self.resent + other.resent,
        )


def undecided_attempts(connection: sqlite3.Connection, since: int = 0) -> int:
    """Requests from `since` on that a dead run left without an outcome, tasks apart: each may have been paid for."""
    row = connection.execute(
        "SELECT count(*) FROM attempts LEFT JOIN outcomes USING (attempt) LEFT JOIN tasks USING (attempt) "
        "LEFT JOIN unfetched USING (attempt) WHERE attempt >= ? AND outcomes.attempt IS NULL "
        "AND (tasks.attempt IS NULL OR unfetched.attempt IS NOT NULL)",
        (since,),
    ).fetchone()
    return int(row[0])


def totals(connection: sqlite3.Connection, since: int = 0, until: int = _EVER) -> Totals:
    """Sums over the attempts from `since` on and before `until`. One without an outcome is maybe billed once settled."""
    requests, unsent, maybe, cost, spent, resent = connection.execute(
        f"SELECT count(*), coalesce(sum(kind IN ({NEVER_SENT})), 0), coalesce(sum(maybe_billed), 0), sum(cost_usd), "
        "coalesce(sum(CASE WHEN maybe_billed OR status IS NULL THEN max(coalesce(cost_usd, 0), coalesce(reserved_usd, 0)) "
        f"ELSE cost_usd END), 0), coalesce(sum(maybe_billed AND status = 'pending' AND kind NOT IN ({LATER})), 0) "
        "FROM attempts LEFT JOIN outcomes USING (attempt) WHERE attempt >= ? AND attempt < ?",
        (since, until),
    ).fetchone()
    images = connection.execute(
        "SELECT count(*) FROM images WHERE attempt >= ? AND attempt < ?", (since, until)
    ).fetchone()[0]
    return Totals(requests, requests - unsent, images, maybe, cost, spent, resent)


_RUN_ROWS = (
    "SELECT count(DISTINCT item), count(DISTINCT CASE WHEN coalesce(status, 'pending') = 'pending' AND NOT EXISTS "
    "(SELECT 1 FROM attempts b WHERE b.item = a.item AND b.attempt > a.attempt) THEN item END) "
    "FROM attempts a LEFT JOIN outcomes USING (attempt) WHERE attempt >= ?"
)


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What the newest run did alone. rows: sent; rows_waiting: of these, those that still wait for an image.

    undecided: requests without an outcome, tasks apart; once the run is over each of them may have been paid for.
    """

    totals: Totals
    rows: int
    rows_waiting: int
    undecided: int


def run_figures(connection: sqlite3.Connection, run: int) -> RunFigures:
    """Of the newest run. Reads its attempts only, which are the last ones."""
    last = connection.execute(
        "SELECT attempt FROM attempts WHERE run < ? ORDER BY attempt DESC LIMIT 1", (run,)
    ).fetchone()
    since = 0 if last is None else last[0] + 1
    rows, waiting = connection.execute(_RUN_ROWS, (since,)).fetchone()
    return RunFigures(totals(connection, since), rows, waiting, undecided_attempts(connection, since))


def recent_sends(connection: sqlite3.Connection, window_s: float, now: float) -> list[tuple[float, int]]:
    """(age in seconds, images) of the requests sent within the last window, oldest first. now: Unix seconds.

    After the clock was set back they look newer than they are, never older than the window.
    """
    sent = connection.execute(
        "SELECT sent_ms, n FROM attempts WHERE attempt > (SELECT max(attempt) FROM attempts) - ? AND sent_ms > ? "
        "ORDER BY attempt",
        (_RECENT, (now - window_s) * 1000),
    )
    return [(max(0.0, now - sent_ms / 1000), n) for sent_ms, n in sent]


@dataclass(frozen=True, slots=True)
class PastSuccesses:
    """What the folder's successes were like. latency_s: mean seconds. image_usd, spread_usd: mean and deviation."""

    count: int
    latency_s: float
    image_usd: float | None
    spread_usd: float


def past_successes(connection: sqlite3.Connection) -> PastSuccesses | None:
    """Measured on the newest thousand successes; None without any."""
    rows = connection.execute(
        "SELECT latency_s, cost_usd / n FROM outcomes JOIN attempts USING (attempt) "
        "WHERE status = 'succeeded' AND latency_s IS NOT NULL ORDER BY attempt DESC LIMIT 1000"
    ).fetchall()
    if not rows:
        return None
    costs = np.array([cost for _, cost in rows if cost is not None])
    latency = float(np.mean([latency for latency, _ in rows]))
    if not len(costs):
        return PastSuccesses(len(rows), latency, None, 0.0)
    return PastSuccesses(len(rows), latency, float(costs.mean()), float(costs.std()))
