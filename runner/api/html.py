"""Values as HTML for a notebook. Whatever stands in a manifest or an answer is text here, never markup."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from runner.process.redaction import REDACTOR

_CELL = "text-align:left;vertical-align:top;padding:1px 12px 1px 0;white-space:pre-wrap;"
_COLOURS = {"failed": "#b3261e", "parked": "#8a5a00", "invalid": "#8a5a00", "warning": "#8a5a00"}
_SIDE = 96
"""Pixels of a thumbnail's longer side."""
_MAX_BYTES = 30_000_000
"""Larger files have no thumbnail: decoding one would hold up the notebook."""


def facts_html(title: str, facts: Iterable[tuple[str, str]], below: str = "") -> str:
    """A heading and a line each. below: HTML."""
    return f'<div style="font-size:13px"><b>{escape(title)}</b>{_table(_fact_rows(facts))}{below}</div>'


def table_html(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Texts in columns under their headings."""
    head = "".join(f'<th style="{_CELL}">{escape(name)}</th>' for name in header)
    rows = (
        "".join(f'<td style="{_CELL}">{escape(REDACTOR.text(text))}</td>' for text in line) for line in lines
    )
    return _table([head, *rows])


def thumbnails_html(files: Iterable[tuple[str, Path]]) -> str:
    """Small copies of images inside the HTML itself, each with its title; what cannot be drawn is left out."""
    drawn = (_thumbnail(title, path) for title, path in files)
    return f'<div style="margin-top:6px">{"".join(image for image in drawn if image)}</div>'


def _table(rows: Iterable[str]) -> str:
    inside = "".join(f'<tr style="background:none">{row}</tr>' for row in rows)
    return f'<table style="border:none;border-collapse:collapse;margin:4px 0">{inside}</table>'


def _fact_rows(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    for label, text in facts:
        colour = f"color:{_COLOURS[label]};" if label in _COLOURS else ""
        yield (
            f'<th style="{_CELL}{colour}font-weight:600">{escape(label)}</th>'
            f'<td style="{_CELL}">{escape(REDACTOR.text(text))}</td>'
        )


def _thumbnail(title: str, path: Path) -> str:
    small = io.BytesIO()
    with suppress(OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        if path.stat().st_size > _MAX_BYTES:
            return ""
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image.thumbnail((_SIDE, _SIDE))
            image.convert("RGBA").save(small, "PNG")
    if not small.tell():
        return ""
    data = base64.b64encode(small.getvalue()).decode()
    style = "display:inline-block;margin:0 4px 0 0"
    return f'<img style="{style}" title="{escape(title)}" src="data:image/png;base64,{data}">'
