"""What `report` says when it is done."""

from __future__ import annotations

from pathlib import Path

from runner.text.wording import count_text
from schemas.report import BuiltReport


def report_facts(built: BuiltReport) -> list[tuple[str, str]]:
    """Label and text, a line each."""
    images = f"{count_text(built.images, 'image')} of {count_text(built.rows, 'row')}"
    if built.failures:
        images += f", {count_text(built.failures, 'failure')}"
    facts = [("report", images), ("open", Path(built.page).resolve().as_uri())]
    if built.charts:
        facts.append(("charts", str(Path(built.charts[0]).parent)))
    return facts
