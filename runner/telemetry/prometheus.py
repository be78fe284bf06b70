"""A run's figures for Prometheus, in a file that node_exporter's textfile collector reads.

A thread of its own writes the file every few seconds, so that a slow disk never holds up a run. What is told of the last
run that ended stays in the file while the next one is going on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.telemetry.observer import Observer
from schemas.errors import JobError
from schemas.reports import Progress

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

EVERY_S = 15.0
PATIENCE_S = 10.0
LAST = "imagemill_last_run_"

_LOG = logging.getLogger(__name__)
_HELP = {
    "timestamp_seconds": "when it ended, Unix time",
    "exit_code": "as the exit status of the process",
    "duration_seconds": "its time from first to last",
    "rows": "results rows (one an image asked for) by status",
    "errors": "results rows by kind of error",
    "requests_sent": "over the life of the folder",
    "images_saved": "over the life of the folder",
    "maybe_billed": "requests that may have been paid for without an image, over the life of the folder",
    "cost_usd": "over the life of the folder",
}
_LABELS = {"rows": "status", "errors": "kind"}

Samples = dict[tuple[str, str], float]
"""(figure, value of its second label or "") -> value."""


def samples_of(summary: Mapping[str, Any], now: float) -> Samples:
    """The figures of a run that ended. summary: the keys of `--json`; of a run that could not start, few of them."""
    told = {
        "timestamp_seconds": now,
        "exit_code": summary["exit_code"],
        "duration_seconds": summary.get("duration_s"),
        **{name: summary.get(name) for name in ("requests_sent", "images_saved", "maybe_billed", "cost_usd")},
    }
    samples: Samples = {(name, ""): float(value) for name, value in told.items() if value is not None}
    for name, key in (("rows", "by_status"), ("errors", "by_error")):
        samples |= {(name, value): float(count) for value, count in summary.get(key, {}).items()}
    return samples


class MetricsFile:
    """The file of one job. Nothing that goes wrong with it is more than a warning, given once."""

    def __init__(self, path: Path, job: str) -> None:
        """Raises JobError (exit 2) when the package that writes it is not installed."""
        try:
            import prometheus_client  # noqa: F401
        except ImportError:
            raise JobError("--metrics-file needs a package", fix="pip install 'imagemill[metrics]'") from None
        self._path = path
        self._job = job
        self._started = time.time()
        self._last: Samples = {}
        self._progress: Progress | None = None
        self._over = threading.Event()
        self._warned = False
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def observing(self, observer: Observer | None) -> Observer:
        """The observer, with every look shown here too; from the first one on the file is written.

        Not before: until a run holds its lock the file may be that of another one.
        """

        def look(progress: Progress) -> None:
            self._progress = progress
            if self._thread.ident is None:
                self._thread.start()
            if observer is not None:
                observer(progress)

        return look

    def end(self, summary: Mapping[str, Any]) -> None:
        """Write it for the last time; waits for it, but not for ever."""
        self._over.set()
        last = threading.Thread(target=self._finish, args=(summary,), name="metrics", daemon=True)
        last.start()
        last.join(PATIENCE_S)
        if last.is_alive():
            self._warn("it takes too long")

    def _work(self) -> None:
        self._last = _read(self._path, self._job)
        while True:
            self._write(running=True)
            if self._over.wait(EVERY_S):
                return

    def _finish(self, summary: Mapping[str, Any]) -> None:
        if self._thread.is_alive():
            self._thread.join()
        self._last = samples_of(summary, time.time())
        self._write(running=False)

    def _write(self, *, running: bool) -> None:
        from prometheus_client import write_to_textfile

        try:
            write_to_textfile(str(self._path), self._registry(running=running))
        except OSError as error:
            self._warn(error.strerror or str(error))

    def _warn(self, problem: str) -> None:
        if not self._warned:
            self._warned = True
            _LOG.warning("the metrics file %s cannot be written: %s", self._path, problem)

    def _registry(self, *, running: bool) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry, Gauge

        registry = CollectorRegistry()

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, ["job", *labels], registry=registry)

        gauge("imagemill_running", "1 while a run is going on").labels(self._job).set(running)
        if running:
            gauge("imagemill_run_started_timestamp_seconds", "Unix time").labels(self._job).set(self._started)
            self._live(gauge)
        for name in dict.fromkeys(name for name, _ in self._last):
            labels = (_LABELS[name],) if name in _LABELS else ()
            family = gauge(f"{LAST}{name}", f"of the last run that ended: {_HELP[name]}", *labels)
            for (figure, label), value in self._last.items():
                if figure == name:
                    family.labels(self._job, *([label] if labels else [])).set(value)
        return registry

    def _live(self, gauge: Any) -> None:
        seen = self._progress
        if seen is None:
            return
        images = gauge("imagemill_run_images", "images of the folder by status, so far", "status")
        for status, count in (
            ("succeeded", seen.done_images),
            ("failed", seen.failed_images),
            ("parked", seen.parked_images),
        ):
            images.labels(self._job, status).set(count)
        gauge("imagemill_run_in_flight", "requests that wait for their answer").labels(self._job).set(
            seen.in_flight
        )
        if seen.cost_usd is not None:
            gauge("imagemill_run_cost_usd", "of the folder, so far").labels(self._job).set(seen.cost_usd)


def _read(path: Path, job: str) -> Samples:
    """What the file tells of the last run that ended; nothing when there is no such file, or it is another's."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}
    return {
        (
            sample.name.removeprefix(LAST),
            sample.labels.get(_LABELS.get(sample.name.removeprefix(LAST), ""), ""),
        ): sample.value
        for family in families
        for sample in family.samples
        if sample.name.removeprefix(LAST) in _HELP and sample.labels.get("job") == job
    }
