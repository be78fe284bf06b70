"""What a folder has sent, kept and cost, summed up from its ledger."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from schemas.failures import FailureKind

NEVER_SENT = f"'{FailureKind.CONNECT}', '{FailureKind.LOCAL}'"
"""Kinds of attempts that ended before their request's first byte left."""
_EVER = 2**62


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
        """Both together."""
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


def undecided(connection: sqlite3.Connection, since: int = 0) -> int:
    """Requests from `since` on that a dead run left without an outcome, tasks apart: each may have been paid for."""
    row = connection.execute(
        "SELECT count(*) FROM attempts LEFT JOIN outcomes USING (attempt) LEFT JOIN tasks USING (attempt) "
        "WHERE attempt >= ? AND outcomes.attempt IS NULL AND tasks.attempt IS NULL",
        (since,),
    ).fetchone()
    return int(row[0])


def totals(connection: sqlite3.Connection, since: int = 0, until: int = _EVER) -> Totals:
    """Sums over the attempts from `since` on and before `until`. One without an outcome is maybe billed once settled."""
    requests, unsent, maybe, cost, spent, resent = connection.execute(
        f"SELECT count(*), coalesce(sum(kind IN ({NEVER_SENT})), 0), coalesce(sum(maybe_billed), 0), sum(cost_usd), "
        "coalesce(sum(CASE WHEN maybe_billed OR status IS NULL THEN max(coalesce(cost_usd, 0), coalesce(reserved_usd, 0)) "
        "ELSE cost_usd END), 0), coalesce(sum(maybe_billed AND status = 'pending'), 0) "
        "FROM attempts LEFT JOIN outcomes USING (attempt) WHERE attempt >= ? AND attempt < ?",
        (since, until),
    ).fetchone()
    images = connection.execute(
        "SELECT count(*) FROM images WHERE attempt >= ? AND attempt < ?", (since, until)
    ).fetchone()[0]
    return Totals(requests, requests - unsent, images, maybe, cost, spent, resent)
