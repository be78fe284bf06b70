"""What `imagemill export` says of a dataset that was made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.app.export import Exported
from runner.cli.console import Facts
from runner.text.wording import count_text

_SHOWN = 10


def verdict(found: Exported) -> str:
    """Why the exit code is not 0; "" where it is."""
    return f"{count_text(len(found.damaged), 'image')} left out: damaged or gone" if found.damaged else ""


def export_facts(found: Exported, out: Path, dest: Path, to: str) -> Facts:
    """Label and text of each line."""
    return list(_facts(found, out, dest, to))


def _facts(found: Exported, out: Path, dest: Path, to: str) -> Iterator[tuple[str, str]]:
    what = count_text(found.images, "line" if to == "csv" else "image")
    yield "exported", f"{what} as {to}{' (simulated)' if found.simulated else ''}"
    size = f"{found.bytes / 1e6:,.1f} MB"
    shared = f", {found.linked:,} of them sharing their blocks with {out}" if found.linked else ""
    yield "written", f"{dest}: {count_text(found.files, 'file')}, {size}{shared}"
    if found.without_image:
        yield "left out", f"{count_text(found.without_image, 'results row')} without an image"
    if found.stale_picks:
        yield "left out", f"{count_text(found.stale_picks, 'pick')} of images that were made again since"
    for note in found.notes:
        yield "note", note
    for damage in found.damaged[:_SHOWN]:
        yield "damaged", f"{damage.row_id!r}, {damage.file_name}: {damage.problem}"
    if len(found.damaged) > _SHOWN:
        yield "", f"… and {len(found.damaged) - _SHOWN:,} more"
    if found.damaged:
        yield "fix", f"imagemill verify {out}"
    if found.pushed:
        yield "pushed", found.pushed


def as_json(found: Exported, out: Path, dest: Path, to: str) -> dict[str, Any]:
    """The fields of the JSON object."""
    return {"out": str(out), "dest": str(dest), "to": to, **asdict(found)}
