"""What commands list, entry by entry: past runs, folders, groups of failures, problems. Field names are the JSON keys."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.summary import State


@dataclass(frozen=True, slots=True)
class PastRun:
    """One start of imagemill on a folder; all counts are of this run alone.

    started: ISO 8601, UTC. duration_s, exit_code: None for a run that was killed or is still going on. rows: sent.
    rows_again: of them those that an earlier run had sent too. requests_sent: those whose first byte left.
    """

    out: str
    run_id: str
    started: str
    duration_s: float | None
    exit_code: int | None
    exit_reason: str
    rows: int
    rows_again: int
    requests_sent: int
    images_saved: int
    maybe_billed: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class FolderState:
    """One output folder. images, by_status: as the last run left them; None while that is not known (a run goes on or was
    killed). images_saved, cost_usd: over its life. touched: when its newest run ended, or began (ISO 8601, UTC)."""

    out: str
    state: State
    simulated: bool
    exit_code: int | None
    exit_reason: str
    rows: int | None
    images: int | None
    by_status: dict[str, int] | None
    images_saved: int
    cost_usd: float | None
    touched: str | None


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """All failures of one kind and status. images: results rows; rows: manifest rows. command: what mends it."""

    error_kind: str
    status: str
    images: int
    rows: int
    meaning: str
    advice: str
    command: str


@dataclass(frozen=True, slots=True)
class VerifyProblem:
    """Something that is not as the ledger says. path: relative to the folder. fix: "" where it is repaired."""

    path: str
    row_id: str | None
    problem: str
    fix: str
