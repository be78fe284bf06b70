"""A process that draws sheets of thumbnails: JSON lines in, JSON lines out; it ends with its input.

It holds one decoded image and one sheet at a time.
"""

from __future__ import annotations

import base64
import io
import json
import secrets
import sys
import warnings
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

SIDE, ACROSS = 192, 5
"""Pixels of a thumbnail's longer side; thumbnails in a line of a sheet, and lines. A sheet takes 3.7 MB once decoded."""
MAX_PIXELS = 120_000_000
_UNREADABLE = (
    OSError,
    UnidentifiedImageError,
    ValueError,
    SyntaxError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_GROUND = (236, 236, 236)
"""Behind transparent pixels."""
_QUALITY = 78


def draw_sheet(sheet: Path, files: list[str]) -> list[Any]:
    """Draw those images that can be read on one sheet, in order; [width, height, place], or what is wrong with a file.

    The sheet appears whole, or not at all. Raises OSError where it cannot be written.
    """
    drawn = Image.new("RGB", (ACROSS * SIDE, ACROSS * SIDE), _GROUND)
    answers: list[Any] = []
    place = 0
    for file in files:
        small = thumbnail(file, SIDE)
        if isinstance(small, str):
            answers.append(small)
            continue
        drawn.paste(small, (place % ACROSS * SIDE, place // ACROSS * SIDE))
        answers.append([small.width, small.height, place])
        place += 1
    if place:
        lines = -(-place // ACROSS)
        _save(drawn.crop((0, 0, drawn.width, lines * SIDE)), sheet)
    return answers


def thumbnail(file: str, side: int) -> Image.Image | str:
    """A small copy, or `missing` or `damaged`."""
    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if image.width * image.height > MAX_PIXELS:
                return "damaged"
            image.draft("RGB", (side, side))  # a JPEG is decoded at an eighth of its size, if that is enough
            image.load()
            return _small(image, side)
    except FileNotFoundError:
        return "missing"
    except _UNREADABLE:
        return "damaged"


def inline_image(file: str, side: int) -> list[Any] | str:
    """Width, height and data URL of a small copy, or what is wrong with the file."""
    small = thumbnail(file, side)
    if isinstance(small, str):
        return small
    data = io.BytesIO()
    small.save(data, "JPEG", quality=_QUALITY)
    return [small.width, small.height, "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()]


def _small(image: Image.Image, side: int) -> Image.Image:
    if image.mode not in ("RGB", "RGBA", "L"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    factor = max(image.size) // (side + side // 4)
    if factor > 1:  # averaging whole blocks of pixels is several times faster than resampling them all
        image = image.reduce(factor)
    image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=None)
    if image.mode == "RGBA":
        ground = Image.new("RGB", image.size, _GROUND)
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    return ImageOps.exif_transpose(image).convert("RGB")


def _save(drawn: Image.Image, sheet: Path) -> None:
    draft = sheet.with_name(f".{sheet.name}.{secrets.token_hex(4)}")
    try:
        drawn.save(draft, "JPEG", quality=_QUALITY)
        draft.replace(sheet)
    finally:
        draft.unlink(missing_ok=True)


def main() -> None:
    """Answer every line of stdin with one on stdout."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    for line in sys.stdin:
        task = json.loads(line)
        if "sheet" in task:
            answer = draw_sheet(Path(task["sheet"]), task["files"])
        else:
            answer = [inline_image(file, task["side"]) for file in task["files"]]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
