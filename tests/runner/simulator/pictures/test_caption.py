"""Captions are legible and wrap."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageFont

from runner.simulator.pictures.caption import wrap
from runner.simulator.pictures.picture import Picture, draw


def test_the_caption_stands_out_from_its_ground() -> None:
    image = Image.open(BytesIO(draw(Picture("castle", 0, width=512, height=512))))
    dark, pale = image.crop((0, 480, 512, 512)).convert("L").getextrema()
    assert pale - dark > 150


def test_captions_wrap_at_spaces_and_end_in_an_ellipsis() -> None:
    font = ImageFont.load_default(20)
    lines = wrap("one two three four five six seven eight nine ten eleven twelve", font, 120, 3)
    assert len(lines) == 3
    assert all(font.getlength(line) <= 120 for line in lines)
    assert "one two three".startswith(lines[0])
    assert lines[-1].endswith("…")
    assert wrap("unbreakable" * 9, font, 120, 20)[0].startswith("unbreak")
    assert wrap("fits", font, 120, 3) == ["fits"]
    assert wrap("Smør—brød\x07 für Zoë", font, 400, 3) == ["Smor-brod fur Zoe"]
