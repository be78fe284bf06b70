"""What becomes of a run and of its folder (`Summary`): `run --json`, `retry --json`, `status --json`, OUT/summary.json.

Field names are the JSON keys. Figures of one run and of the folder's whole life stand apart: those of all nights, added up,
are the folder's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from schemas.reports import FailedImage, RunWarning, Service


class State(StrEnum):
    """Whether a folder's newest run goes on, and how it ended.

    FINISHED: it did all there was to do. STOPPED: it ended before, for the reason that it tells. KILLED: it told none.
    """

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class FolderFigures:
    """Over the folder's whole life. runs: those that were started. cost_usd: None where images have no known price."""

    runs: int = 0
    requests_sent: int = 0
    images_saved: int = 0
    maybe_billed: int = 0
    cost_usd: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """A run, and the folder as it stands: all that the Python value and the JSON object of it have in common.

    imagemill: version. simulated: the service was the simulator, which charges nothing; its costs are at list price.
    exit_code: None while the run goes on. next: a command that can be typed as it is.

    Of the manifest as it stands now: rows; images: asked for; by_status, by_error: results rows (one an image asked for),
    the latter of failed, parked and invalid ones; removed: rows sent earlier that it no longer holds.

    Of this run alone: started, finished (ISO 8601, UTC; None: not yet), duration_s, rows_sent, rows_skipped (nothing was to
    be done for them), requests_sent (their first byte left), images_saved, maybe_billed (requests that may have been
    charged without an image), cost_usd (None where images have no known price), maybe_usd (what `maybe_billed` costs if
    they were charged, where known), eta_s (while it goes on).
    """

    imagemill: str
    command: str
    out: str
    simulated: bool
    state: State
    exit_code: int | None
    exit_reason: str
    next: str
    rows: int
    images: int
    by_status: dict[str, int]
    by_error: dict[str, int]
    removed: int = 0
    run_id: str = ""
    started: str | None = None
    finished: str | None = None
    duration_s: float = 0.0
    rows_sent: int = 0
    rows_skipped: int = 0
    requests_sent: int = 0
    images_saved: int = 0
    maybe_billed: int = 0
    cost_usd: float | None = 0.0
    maybe_usd: float = 0.0
    eta_s: float | None = None
    folder: FolderFigures = FolderFigures()
    service: Service | None = None
    warnings: tuple[RunWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(RunFigures):
    """The JSON object. failures: the first of them."""

    failures: tuple[FailedImage, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)
