"""The output folder that a job names: its template and placeholders."""

from __future__ import annotations

import re
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jobs.addresses import has_date, is_glob, is_url, with_date
from jobs.dates import day_of
from runner.config.toml_writer import toml_value
from runner.process.redaction import REDACTOR
from schemas.errors import JobError
from schemas.job import Job

PLACEHOLDERS = ("date", "manifest_stem", "run_id")
_PLACEHOLDER = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_COMPRESSED = (".gz", ".zst", ".zstd")
_MAX_STEM_CHARS = 80


def manifest_stem(manifest: str | None) -> str:
    """The manifest's name as part of a folder's name.

    `prompts.csv.gz` gives `prompts`; a folder its name; a glob the name of the folder that it searches; a URL its last
    path part; a DataFrame (None) `manifest`.
    """
    if manifest is None:
        return "manifest"
    path = Path(unquote(urlsplit(manifest).path) if is_url(manifest) else manifest)
    name = path.name
    if is_glob(manifest):
        fixed = [part for part in path.parent.parts if not is_glob(part)]
        name = fixed[-1] if fixed and fixed[-1] not in ("/", ".", "..") else path.name
    elif not manifest.endswith("/") and not path.is_dir():
        name = Path(name).stem if path.suffix.lower() in _COMPRESSED else name
        name = Path(name).stem
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:_MAX_STEM_CHARS] or "manifest"


def template_fault(template: str) -> str | None:
    """What is wrong with an output template; None when nothing is."""
    if not template.strip():
        return "is empty"
    for name, form in _PLACEHOLDER.findall(template):
        if name not in PLACEHOLDERS:
            near = get_close_matches(name, PLACEHOLDERS, 1)
            hint = f"; did you mean {{{near[0]}}}?" if near else ""
            return (
                f"has an unknown placeholder {{{name}}}{hint} Known: {{date}}, {{manifest_stem}}, {{run_id}}"
            )
        if form and name != "date":
            return f"gives {{{name}}} a format; only {{date:…}} takes one"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        return "has a brace without its partner"
    return None


def dated(job: Job, today: date) -> Job:
    """The job of one day: `{date}` filled in in its manifest, `date` that day. A job without `{date}` has no date."""
    if not (has_date(job.out) or has_date(job.manifest)):
        return job.model_copy(update={"date": None})
    day = day_of(job.date, today)
    manifest = None if job.manifest is None else with_date(job.manifest, day)
    return job.model_copy(update={"date": day.isoformat(), "manifest": manifest})


def out_folder(job: Job, *, today: date, run_id: str) -> Path:
    """The output folder: `job.out` with `{date}` (or `{date:%Y-%m-%d}`), `{manifest_stem}` and `{run_id}` filled in.

    A relative folder is relative to the current one. Raises JobError for any other placeholder.
    """
    fault = template_fault(job.out)
    if fault is not None:
        raise JobError(f"out = {toml_value(REDACTOR.text(job.out))} {fault}")

    def filled(match: re.Match[str]) -> str:
        if match[1] == "date":
            return day_of(job.date, today).strftime(match[2] or "%Y-%m-%d")
        return run_id if match[1] == "run_id" else manifest_stem(job.manifest)

    return Path(_PLACEHOLDER.sub(filled, job.out)).expanduser()
