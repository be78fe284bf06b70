"""A `Summary` as lines for people: the manifest as it stands, this run, and the folder's whole life."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner.cli.console import Facts
from runner.cli.lines.failures import end_lines
from runner.text.wording import count_text, duration_text, money_text
from schemas.failures import RowStatus
from schemas.output_folder import IMAGES, RESULTS_NAME
from schemas.summary import State, Summary


def summary_facts(summary: Summary) -> Facts:
    """What a run did, or where a folder stands."""
    return [*_head(summary), *_rows(summary), *_run(summary), *_files(summary), *_end(summary)]


def charge_text(usd: float | None, *, simulated: bool) -> str:
    """What was charged, known to be simulated where it is."""
    if usd is None:
        return "unknown: no price (see --price)"
    return f"{money_text(usd)} simulated, nothing is charged" if simulated else money_text(usd)


def _head(summary: Summary) -> Iterator[tuple[str, str]]:
    service = summary.service
    if service is not None:
        yield "service", str(service)
    if summary.state is State.RUNNING:
        left = "" if summary.eta_s is None else f", about {duration_text(summary.eta_s)} left"
        yield "state", f"running for {duration_text(summary.duration_s)}{left}"


def _rows(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "rows", f"{summary.rows:,} ({count_text(summary.images, 'image')} asked for)"
    for status in RowStatus:
        if status is RowStatus.SUCCEEDED or summary.by_status.get(status):
            unit = "row" if status is RowStatus.INVALID else "image"
            yield str(status), count_text(summary.by_status.get(status, 0), unit)
    if summary.by_error:
        ordered = sorted(summary.by_error.items(), key=lambda item: -item[1])
        yield "errors", ", ".join(f"{name} {count:,}" for name, count in ordered)
    yield from end_lines(summary)


def _run(summary: Summary) -> Iterator[tuple[str, str]]:
    took = duration_text(summary.duration_s)
    label = "last run" if summary.command == "status" and summary.state is not State.RUNNING else "this run"
    if summary.started is not None:
        yield label, f"{_sent(summary)}; {took}" if summary.duration_s else _sent(summary)
        if summary.requests_sent or summary.cost_usd:
            yield "cost", _cost(summary)
    folder = summary.folder
    if folder.runs > 1 or not summary.run_id:
        runs, requests = count_text(folder.runs, "run"), count_text(folder.requests_sent, "request")
        charged = _life_cost(summary)
        yield (
            "folder",
            f"{runs} so far: {requests}, {count_text(folder.images_saved, 'image')}, {charged}",
        )


def _life_cost(summary: Summary) -> str:
    usd = summary.folder.cost_usd
    if usd is None:
        return "cost unknown"
    return f"{money_text(usd)} simulated" if summary.simulated else money_text(usd)


def _sent(summary: Summary) -> str:
    if summary.requests_sent or summary.images_saved:
        rows, requests = (
            count_text(summary.rows_sent, "row"),
            count_text(summary.requests_sent, "request"),
        )
        before = summary.rows_skipped - summary.by_status.get(RowStatus.INVALID.value, 0)
        skipped = f", {before:,} were done before" if before > 0 else ""
        return f"{rows} sent in {requests}, {count_text(summary.images_saved, 'image')} saved{skipped}"
    if summary.rows_skipped < summary.rows:
        return "nothing was sent"
    if set(summary.by_status) <= {RowStatus.SUCCEEDED.value}:
        return f"nothing to send: {'the row was' if summary.rows == 1 else f'all {summary.rows:,} rows were'} done"
    return "nothing to send: no row was pending"


def _cost(summary: Summary) -> str:
    charged = charge_text(summary.cost_usd, simulated=summary.simulated)
    if not summary.maybe_billed:
        return charged
    most = f" (up to {money_text(summary.maybe_usd)})" if summary.maybe_usd else ""
    requests = count_text(summary.maybe_billed, "request")
    return f"{charged}; {requests} may have been charged without giving an image{most}"


def _files(summary: Summary) -> Iterator[tuple[str, str]]:
    out = Path(summary.out)
    if summary.folder.images_saved:
        yield "images", str(out / IMAGES)
    if (out / RESULTS_NAME).exists():
        yield "results", str(out / RESULTS_NAME)
    if summary.removed:
        yield "removed", count_text(summary.removed, *_REMOVED)


_REMOVED = (
    "row of earlier manifests is not in this one; its images are kept",
    "rows of earlier manifests are not in this one; their images are kept",
)


def _end(summary: Summary) -> Iterator[tuple[str, str]]:
    for warning in summary.warnings:
        yield "warning", warning.message
    if summary.state is not State.RUNNING:
        code = "" if summary.exit_code is None else f" (exit code {summary.exit_code})"
        yield "ended", f"{summary.exit_reason}{code}"
    if summary.next:
        yield "next", summary.next
