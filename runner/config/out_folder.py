"""The output folder that a job names: its template and placeholders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from glob import iglob
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from jobs.addresses import has_date, is_glob, is_url, with_date
from jobs.dates import day_of
from runner.process.redaction import REDACTOR
from schemas.errors import JobError
from schemas.job import Job
from schemas.output_folder import LEDGER_NAME

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
    if manifest == "-":
        return "stdin"
    path = Path(unquote(urlsplit(manifest).path) if is_url(manifest) else manifest)
    name = path.name
    if is_glob(manifest):
        fixed = [part for part in path.parent.parts if not is_glob(part)]
        name = fixed[-1] if fixed and fixed[-1] not in ("/", ".", "..") else path.name
    elif not manifest.endswith("/") and not path.is_dir():
        name = Path(name).stem if path.suffix.lower() in _COMPRESSED else name
        name = Path(name).stem
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:_MAX_STEM_CHARS] or "manifest"


class OutTemplate(NamedTuple):
    """The relative `out` of a job file. pattern: for every folder that it can stand for."""

    text: str
    pattern: str

    def is_only_in(self, folder: Path, cwd: Path) -> bool:
        """Whether such an output folder is below this folder and none below the current one."""
        return self._is_in(folder) and not self._is_in(cwd)

    def _is_in(self, folder: Path) -> bool:
        return any(iglob(f"{self.pattern}/{LEDGER_NAME}", root_dir=folder))  # noqa: PTH207


def out_template(settings: Mapping[str, Any]) -> OutTemplate | None:
    """Of a job file's settings, its `{date}` not filled in; None where `out` is absolute, or no template."""
    text, manifest = settings.get("out", Job.model_fields["out"].default), settings.get("manifest")
    if not isinstance(text, str) or template_fault(text) is not None or Path(text).expanduser().is_absolute():
        return None
    known = isinstance(manifest, str) and not has_date(manifest)

    def any_of(match: re.Match[str]) -> str:
        if match[1] == "date":
            return re.sub(r"%-?[A-Za-z]", "*", match[2] or "*")
        return manifest_stem(manifest) if match[1] == "manifest_stem" and known else "*"

    return OutTemplate(text, _PLACEHOLDER.sub(any_of, re.sub(r"([*?[])", "[\\1]", text)))


def template_fault(template: str) -> str | None:
    """What is wrong with an output template; None when nothing is."""
    if not template.strip():
        return "is empty"
    for name, form in _PLACEHOLDER.findall(template):
        if name not in PLACEHOLDERS:
            near = get_close_matches(name, PLACEHOLDERS, 1)
            hint = f"; did you mean {{{near[0]}}}?" if near else "."
            return (
                f"has an unknown placeholder {{{name}}}{hint} Known: {{date}}, {{manifest_stem}}, {{run_id}}"
            )
        if form and name != "date":
            return f"gives {{{name}}} a format; only {{date:…}} takes one"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        return "has a brace without its partner"
    return None


def mended_template(template: str) -> str:
    """The template with the nearest placeholders in place of unknown ones; "" where that does not mend it."""

    def known(match: re.Match[str]) -> str:
        near = get_close_matches(match[1], PLACEHOLDERS, 1)
        form = f":{match[2]}" if match[2] and near == ["date"] else ""
        return f"{{{near[0]}{form}}}" if near else match[0]

    mended = _PLACEHOLDER.sub(known, template)
    return mended if mended != template and template_fault(mended) is None else ""


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
        raise JobError(f"out = {json.dumps(REDACTOR.text(job.out), ensure_ascii=False)} {fault}")

    def filled(match: re.Match[str]) -> str:
        if match[1] == "date":
            return day_of(job.date, today).strftime(match[2] or "%Y-%m-%d")
        return run_id if match[1] == "run_id" else manifest_stem(job.manifest)

    return Path(_PLACEHOLDER.sub(filled, job.out)).expanduser()
