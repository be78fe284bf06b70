"""The words and figures in which a run is shown, for a terminal and for a log file alike."""

from __future__ import annotations

from runner.process.redaction import REDACTOR
from runner.text.wording import count_text, duration_text, money_text
from schemas.errors import ExitCode
from schemas.reports import Progress, RunEnd

_PHASES = {"draining": "stopping"}
_AT_ITS_END = (ExitCode.OK, ExitCode.SOME_FAILED)


def phase_text(progress: Progress) -> str:
    """`running`, or `stopping`."""
    return REDACTOR.text(_PHASES.get(progress.phase, progress.phase))


def done_text(progress: Progress) -> str:
    """`1,207/5,000 images (24 %)`: how many are settled. While the rows are being counted, `1,207 images, counting rows`."""
    settled = f"{progress.settled_images:,}"
    if not progress.total_known:
        return f"{settled} images, counting rows"
    percent = progress.percent
    return f"{settled}/{count_text(progress.total_images, 'image')}" + (
        "" if percent is None else f" ({int(percent)} %)"
    )


def cost_text(progress: Progress) -> str:
    """`$12.04 of about $50.00 ($0.50/min)`, `~$1.05 of ~$2.12 simulated`; "" where no price is known."""
    if progress.cost_usd is None:
        return ""
    mark = "~" if progress.simulated else ""
    text = mark + money_text(progress.cost_usd)
    if progress.projected_usd is not None and progress.eta_s is not None:
        text += f" of {mark or 'about '}{money_text(progress.projected_usd)}"
    if progress.cost_per_minute and progress.eta_s is not None:
        text += f" ({mark}{money_text(progress.cost_per_minute)}/min)"
    return f"{text} simulated" if progress.simulated else text


def figures(progress: Progress) -> list[str]:
    """Counts, rates, cost and time left; zeros and unknowns are left out."""
    parts = (
        (progress.failed_images, f"{progress.failed_images:,} failed"),
        (progress.parked_images, f"{progress.parked_images:,} parked"),
        (progress.invalid_rows, count_text(progress.invalid_rows, "invalid row")),
        (progress.in_flight, f"{progress.in_flight:,} in flight"),
        (progress.images_per_minute, f"{progress.images_per_minute:,.1f} images/min"),
        (True, cost_text(progress)),
        (progress.eta_s is not None, f"{duration_text(progress.eta_s or 0.0)} left"),
    )
    return [text for present, text in parts if present and text]


def waiting_text(progress: Progress) -> str:
    """Why nothing is sent now; "" when nothing holds it back."""
    return REDACTOR.text(progress.waiting)


def progress_line(progress: Progress) -> str:
    """One look at the run as one line of plain text."""
    parts = (f"{phase_text(progress)}: {done_text(progress)}", *figures(progress), waiting_text(progress))
    return "  ".join(filter(None, parts))


def start_line(progress: Progress) -> str:
    """What is made, from where to where, and what is there already."""
    made = progress.done_images - progress.run_done_images
    failed = progress.failed_images - progress.run_failed_images
    parked = progress.parked_images - progress.run_parked_images
    earlier = [
        f"{count:,} {what}"
        for count, what in ((made, "done"), (failed, "failed"), (parked, "parked"))
        if count
    ]
    if progress.total_known:
        left = progress.total_images - progress.invalid_rows - made - failed - parked
        total = count_text(progress.total_images, "image")
        text = f"{total} to make" if left == progress.total_images else f"{left:,} of {total} to make"
    else:
        text = "counting rows"
    text += f" ({', '.join(earlier)} earlier)" if earlier else ""
    way = " -> ".join(filter(None, (progress.manifest, progress.out)))
    return REDACTOR.text(f"start: {way}: {text}" if way else f"start: {text}")


def closing_parts(progress: Progress, end: RunEnd) -> list[str]:
    """The last words about a run. progress: the last look at it."""
    at_end = end.exit_code in _AT_ITS_END
    counts = f"{progress.settled_images:,}"
    counts += f"/{count_text(progress.total_images, 'image')}" if progress.total_known else " images"
    if at_end and not progress.requests_sent and not progress.run_done_images:
        invalid = progress.invalid_rows
        return [f"nothing to send: {counts} {'settled' if invalid else 'done'}"]
    parts = (
        f"{'done' if at_end else 'stopped'}: {counts} in {duration_text(progress.elapsed_s)}",
        f"{progress.failed_images:,} failed" if progress.failed_images else "",
        f"{progress.parked_images:,} parked" if progress.parked_images else "",
        f"{progress.given_up_images:,} of these given up in flight" if progress.given_up_images else "",
        count_text(progress.invalid_rows, "invalid row") if progress.invalid_rows else "",
        cost_text(progress),
    )
    return [part for part in parts if part]
