"""A run's figures for Prometheus, in a file that node_exporter's textfile collector reads.

A thread writes the file every few seconds, so that a slow disk never delays a run. The figures of the last run that ended
stay in the file while the next one is going on.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import JobError
from schemas.reports import Progress, RunEnd, RunPlan

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

EVERY_S = 15.0
LAST, FOLDER, MANIFEST = "imagemill_last_run_", "imagemill_folder_", "imagemill_manifest_"

_LOG = logging.getLogger(__name__)
_RUN_FIGURES = {
    "duration_seconds": "its time from first to last",
    "rows_sent": "rows that it sent",
    "rows_skipped": "rows for which it had nothing to do",
    "requests_sent": "requests that it sent",
    "images_saved": "images that it saved",
    "maybe_billed": "its requests that may have been paid for without an image",
    "cost_usd": "what it was charged (list price where simulated)",
}
_LIFE = "over the life of the folder: "
HELP = {
    f"{LAST}timestamp_seconds": "when the last run ended, Unix time",
    f"{LAST}exit_code": "of the last run, as the exit status of the process",
    f"{LAST}simulated": "1 where the service was the simulator",
    **{f"{LAST}{name}": f"the last run alone: {meaning}" for name, meaning in _RUN_FIGURES.items()},
    f"{FOLDER}runs": f"{_LIFE}runs that were started",
    f"{FOLDER}requests_sent": f"{_LIFE}requests sent",
    f"{FOLDER}images_saved": f"{_LIFE}images saved",
    f"{FOLDER}maybe_billed": f"{_LIFE}requests that may have been paid for without an image",
    f"{FOLDER}cost_usd": f"{_LIFE}what was charged",
    f"{MANIFEST}rows": "rows of the manifest",
    f"{MANIFEST}images": "images that the manifest asks for, by status",
    f"{MANIFEST}errors": "of these the failed, parked and invalid ones, by kind of error",
}
"""Name -> meaning of each figure of a run that ended."""
_LABELS = {f"{MANIFEST}images": "status", f"{MANIFEST}errors": "kind"}

Samples = dict[tuple[str, str], float]
"""(figure, value of its second label or "") -> value."""


def samples_of(end: RunEnd, now: float) -> Samples:
    """The figures of a run that ended; of one that could not start, few."""
    summary = end.summary
    figures: dict[str, float | None] = {
        f"{LAST}timestamp_seconds": now,
        f"{LAST}exit_code": end.exit_code,
    }
    counts: dict[str, dict[str, int]] = {}
    if summary is not None:
        told, folder = summary.to_dict(), summary.folder
        told["duration_seconds"] = summary.duration_s
        figures |= {f"{LAST}{name}": told[name] for name in ("simulated", *_RUN_FIGURES)}
        figures |= {f"{FOLDER}{name}": value for name, value in asdict(folder).items()}
        figures[f"{MANIFEST}rows"] = summary.rows
        counts = {f"{MANIFEST}images": summary.by_status, f"{MANIFEST}errors": summary.by_error}
    samples: Samples = {(name, ""): float(value) for name, value in figures.items() if value is not None}
    for name, values in counts.items():
        samples |= {(name, value): float(count) for value, count in values.items()}
    return samples


class MetricsFile:
    """The file of one job. Nothing that goes wrong with it is more than a warning, given once."""

    under_lock = True

    def __init__(self, path: Path, job: str) -> None:
        """Raises JobError (exit 2) when the package that writes it is not installed."""
        try:
            import prometheus_client  # noqa: F401
        except ImportError:
            raise JobError("--metrics-file needs a package", fix="pip install 'imagemill[metrics]'") from None
        self.label = f"the metrics file {path} cannot be written"
        self._path = path
        self._job = job
        self._started_s = 0.0
        self._last: Samples = {}
        self._progress: Progress | None = None
        self._over = threading.Event()
        self._warned = False
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def started(self, plan: RunPlan) -> None:
        """Nothing is written yet: until a run holds its folder's lock the file may be that of another one."""
        self._started_s = plan.started_s

    def progress(self, progress: Progress) -> None:
        """Write the file every few seconds from the first look on."""
        self._progress = progress
        if self._thread.ident is None:
            self._thread.start()

    def finished(self, end: RunEnd) -> None:
        """Write it for the last time."""
        if self._thread.ident is not None:
            self._over.set()
            self._thread.join()
        elif end.locked_out:  # the file is the other run's
            return
        self._last = samples_of(end, time.time())
        self._write(running=False)

    def _work(self) -> None:
        self._last = _read(self._path, self._job)
        while True:
            self._write(running=True)
            if self._over.wait(EVERY_S):
                return

    def _write(self, *, running: bool) -> None:
        from prometheus_client import write_to_textfile

        try:
            write_to_textfile(str(self._path), self._registry(running=running))
        except OSError as error:
            self._warn(error.strerror or str(error))

    def _warn(self, problem: str) -> None:
        if not self._warned:
            self._warned = True
            _LOG.warning("%s: %s", self.label, problem)

    def _registry(self, *, running: bool) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry, Gauge

        registry = CollectorRegistry()

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, ["job", *labels], registry=registry)

        gauge("imagemill_running", "1 while a run is going on").labels(self._job).set(running)
        if running:
            gauge("imagemill_run_started_timestamp_seconds", "Unix time").labels(self._job).set(
                self._started_s
            )
            self._live(gauge)
        for name in dict.fromkeys(name for name, _ in self._last):
            labels = (_LABELS[name],) if name in _LABELS else ()
            family = gauge(name, HELP[name], *labels)
            for (figure, label), value in self._last.items():
                if figure == name:
                    family.labels(self._job, *([label] if labels else [])).set(value)
        return registry

    def _live(self, gauge: Any) -> None:
        seen = self._progress
        if seen is None:
            return
        images = gauge("imagemill_run_images", "images of this run by status, so far", "status")
        for status, count in (
            ("succeeded", seen.run_done_images),
            ("failed", seen.run_failed_images),
            ("parked", seen.run_parked_images),
        ):
            images.labels(self._job, status).set(count)
        gauge("imagemill_run_in_flight", "requests that wait for their answer").labels(self._job).set(
            seen.in_flight
        )
        if seen.cost_usd is not None:
            gauge("imagemill_run_cost_usd", "of this run, so far").labels(self._job).set(seen.cost_usd)


def _read(path: Path, job: str) -> Samples:
    """What the file tells of the last run that ended; nothing when there is no such file, or it is another's."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}
    return {
        (sample.name, sample.labels.get(_LABELS.get(sample.name, ""), "")): sample.value
        for family in families
        for sample in family.samples
        if sample.name in HELP and sample.labels.get("job") == job
    }
