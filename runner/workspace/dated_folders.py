"""Folders of a job whose output folder bears a date."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from jobs.addresses import has_date
from runner.config.out_folder import manifest_stem
from schemas.job import Job
from schemas.output_folder import LEDGER_NAME

_ANY = re.compile(r"\{(date|manifest_stem|run_id)(?::([^{}]*))?\}")
_DIRECTIVE = re.compile(r"%-?[A-Za-z]")


def folders(job: Job, template: str | None = None) -> list[Path]:
    """Every folder that this job has made, whatever the day.

    template: the job's manifest before its `{date}` was filled in. Only folders with a ledger, whose date is one.
    """
    stem = "*" if has_date(template) else manifest_stem(job.manifest)
    form = next((match[2] or "%Y-%m-%d" for match in _ANY.finditer(job.out) if match[1] == "date"), None)

    def searched(match: re.Match[str]) -> str:
        if match[1] == "date":
            return _DIRECTIVE.sub("*", match[2] or "%Y-%m-%d")
        return stem if match[1] == "manifest_stem" else "*"

    pattern = Path(_ANY.sub(searched, job.out)).expanduser()
    anchor = Path(pattern.anchor)
    found = sorted(anchor.glob(str(pattern.relative_to(anchor)))) if "*" in str(pattern) else [pattern]
    whole = re.compile(_expression(job.out, stem))
    return [
        out for out in found if (out / LEDGER_NAME).is_file() and _is_dated(whole.fullmatch(str(out)), form)
    ]


def _expression(template: str, stem: str) -> str:
    """The template as a regular expression whose group `date` is the first date. stem: `*` where it is not known."""
    parts, last, dated = [], 0, False
    text = str(Path(template).expanduser())
    for match in _ANY.finditer(text):
        parts.append(re.escape(text[last : match.start()]))
        if match[1] == "date":
            levels = (match[2] or "").count("/") + 1
            days = "/".join(["[^/]+"] * levels)
            parts.append(days if dated else f"(?P<date>{days})")
            dated = True
        else:
            parts.append("[^/]+" if match[1] == "run_id" or stem == "*" else re.escape(stem))
        last = match.end()
    return "".join([*parts, re.escape(text[last:])])


def _is_dated(match: re.Match[str] | None, form: str | None) -> bool:
    if form is None:
        return True
    if match is None:
        return False
    try:
        datetime.strptime(match["date"], form)
    except ValueError:
        return False
    return True
