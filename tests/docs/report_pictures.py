"""`python -m tests.docs.report_pictures`: draws docs/images/report*.png anew, with Debian's chromium.

It runs a small manifest with two models and some refusals in the simulator, and a second folder beside it, in a temporary
folder, and takes pictures of their reports.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.docs.pages import DOCS
from tests.support.commandline import CommandLine

IMAGES = DOCS / "images"
COLOURS = 256
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
THINGS = ("a lighthouse", "a fox", "a glass bottle", "an old map", "a tram", "a paper boat", "a pine forest")
PLACES = ("at dusk", "in the snow", "under a red sky", "on a wooden table", "by the sea")


def write_manifest(path: Path, *, models: bool) -> None:
    """Prompts of things in places. models: each for two models, in two qualities."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["id", "prompt", "model", "quality", "place"])
        for number, (place, thing) in enumerate((place, thing) for place in PLACES for thing in THINGS):
            prompt = f"{thing} {place}" + (" [[refuse]]" if number % 13 == 9 else "")
            for model in ("gpt-image-2-official", "gpt-image-1.5") if models else ("",):
                quality = ("low", "high")[number % 2] if models else ""
                lines.writerow([f"{number:03}{model[10:11]}", prompt, model, quality, place])


def take(page: Page, name: str) -> None:
    """Save what is to be seen, in few colours."""
    page.wait_for_timeout(500)
    with Image.open(io.BytesIO(page.screenshot())) as seen:
        small = seen.convert("RGB").quantize(COLOURS, dither=Image.Dither.FLOYDSTEINBERG)
        small.save(IMAGES / name, optimize=True)


def draw(home: Path) -> None:
    """Make the folders and their reports, open them, take the pictures."""
    write_manifest(home / "models.csv", models=True)
    write_manifest(home / "plain.csv", models=False)
    command = CommandLine(home)
    command("run", "models.csv", "--out", "lighthouse", "--simulate")
    for quality in ("low", "high"):
        command("run", "plain.csv", "--out", quality, "--simulate", "--quality", quality)
    assert command("report", "lighthouse").code == 0
    assert command("report", "low", "high", "--dest", "both").code == 0
    first, both = home / "lighthouse/report/index.html", home / "both/index.html"
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)

        def opened(path: Path, view: str, options: dict[str, Any]) -> Page:
            page = browser.new_page(**options)
            page.goto(f"{path.as_uri()}#{view}")
            page.wait_for_selector("html[data-ready]", state="attached")
            return page

        take(opened(first, "overview", DESKTOP), "report.png")
        page = opened(first, "images", DESKTOP)
        for key in ("Home", "4", "ArrowRight", "5", "ArrowRight", "x", "ArrowRight"):
            page.keyboard.press(key)
        page.wait_for_timeout(3000)  # what it said about the last key is gone
        take(page, "report-images.png")
        take(opened(both, "compare", DESKTOP), "report-compare.png")
        take(opened(first, "images", PHONE), "report-phone.png")
        page = opened(first, "images", DESKTOP | {"color_scheme": "dark"})
        page.locator(".open").first.click()
        take(page, "report-dark.png")
        browser.close()


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        draw(Path(name))
