"""`python -m tests.docs.contact_sheet`: draws docs/images/quickstart.png anew.

It runs `sample_batches/quickstart.csv` with the simulator in a temporary folder and puts all images on one sheet, each with
the id of its row.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tests.docs.pages import CHECKOUT, DOCS
from tests.support.commandline import AT_ONCE, CommandLine

SHEET = DOCS / "images" / "quickstart.png"
COLUMNS = 5
CELL = 150
CAPTION = 16
GAP = 6
COLOURS = 128
"""Few enough for a sheet of some 150 KB."""


def sheet(rows: list[dict[str, Any]], folder: Path) -> Image.Image:
    """All images on one sheet.

    Args:
        rows: of `results.parquet`, each with an image.
        folder: the output folder.
    """
    lines = -(-len(rows) // COLUMNS)
    size = (COLUMNS * (CELL + GAP) + GAP, lines * (CELL + CAPTION + GAP) + GAP)
    drawn = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(11)
    for number, row in enumerate(rows):
        left = GAP + number % COLUMNS * (CELL + GAP)
        top = GAP + number // COLUMNS * (CELL + CAPTION + GAP)
        with Image.open(folder / row["file_name"]) as image:
            image.thumbnail((CELL, CELL))
            spot = (left + (CELL - image.width) // 2, top + (CELL - image.height) // 2)
            drawn.paste(image.convert("RGB"), spot)
        pen.text((left + CELL // 2, top + CELL + 2), row["row_id"], "black", font, anchor="ma")
    return drawn.quantize(COLOURS, dither=Image.Dither.NONE)


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        command = CommandLine(Path(name))
        ended = command("run", CHECKOUT / "sample_batches/quickstart.csv", "--simulate", *AT_ONCE)
        assert ended.code == 0, ended.err
        out = Path(name) / "runs/quickstart"
        sheet(command.results(out), out).save(SHEET, optimize=True)
