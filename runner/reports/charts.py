"""The charts of a report as PNG files, for slides and mails: cost by model and quality, and images a minute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from runner.reports.folder_data import FolderData
from runner.text.wording import money_text

_WIDTH, _LINE, _MARGIN = 1200, 52, 40
_PACE_HEIGHT = 460
_INK, _QUIET, _BAR, _GROUND = "#1d2430", "#6b7482", "#3b6fd4", "#ffffff"
_TITLE_SIZE, _TEXT_SIZE = 26, 18


def draw_charts(data: Sequence[FolderData], folder: Path) -> list[Path]:
    """Write the charts of every folder; returns their files. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for each in data:
        figures = each.figures.to_dict()
        prefix = f"{each.number + 1}-" if len(data) > 1 else ""
        name = each.results.out.resolve().name
        pictures = {"cost": _cost(figures["groups"], name), "pace": _pace(figures["pace"], name)}
        for kind, picture in pictures.items():
            if picture is not None:
                made.append(folder / f"{prefix}{kind}.png")
                picture.save(made[-1], optimize=True)
    return made


def _cost(groups: list[dict[str, Any]], name: str) -> Image.Image | None:
    priced = [group for group in groups if group["cost_usd"]]
    if not priced:
        return None
    picture, pen = _sheet(f"Cost by model and quality: {name}", _LINE * len(priced) + 110)
    most = max(group["cost_usd"] for group in priced)
    for number, group in enumerate(priced):
        top = 90 + number * _LINE
        label = " ".join(filter(None, (group["model"], group["quality"])))[:34]
        pen.text((_MARGIN, top + 8), label, _INK, _font(_TEXT_SIZE))
        width = max(2, round(500 * group["cost_usd"] / most))
        pen.rounded_rectangle((420, top + 4, 420 + width, top + 34), 4, _BAR)
        told = f"{money_text(group['cost_usd'])} · {group['made']:,} images"
        pen.text((432 + width, top + 8), told, _QUIET, _font(_TEXT_SIZE))
    return picture


def _pace(pace: dict[str, Any] | None, name: str) -> Image.Image | None:
    if pace is None:
        return None
    picture, pen = _sheet(f"Images a minute: {name}", _PACE_HEIGHT)
    values = pace["per_minute"]
    most, floor, ceiling = max(values), _PACE_HEIGHT - 50, 90
    step = (_WIDTH - 2 * _MARGIN) / max(1, len(values))
    for place, value in enumerate(values):
        left = _MARGIN + place * step
        top = floor - (floor - ceiling) * value / most
        pen.rectangle((left, top, left + max(1.0, step - 2), floor), _BAR)
    pen.line((_MARGIN, floor, _WIDTH - _MARGIN, floor), _QUIET)
    pen.text((_MARGIN, floor + 12), f"peak {most:,.0f} a minute", _QUIET, _font(_TEXT_SIZE))
    return picture


def _sheet(title: str, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (_WIDTH, height), _GROUND)
    pen = ImageDraw.Draw(picture)
    pen.text((_MARGIN, 30), title[:80], _INK, _font(_TITLE_SIZE))
    return picture, pen


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
