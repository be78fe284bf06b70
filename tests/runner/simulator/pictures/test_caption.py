"""Captions are legible, wrap, and are left out where no font has their letters."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from runner.simulator.pictures.caption import legible, wrap, write_caption
from runner.simulator.pictures.lettering import Lettering, clusters
from runner.simulator.pictures.picture import Picture, draw

NOBODY_DRAWS = "\ue000\uf8ff"
"""Private characters, which mean nothing that a font could draw."""


def wrapped(text: str, room: float, most: int) -> list[str]:
    parts = clusters(legible(text))
    lines = wrap(parts, Lettering([*parts, "…"], 20), room, most)
    return ["".join(line) for line in lines]


def captioned(text: str, mark: str = "") -> set[int]:
    """The levels of a picture of one level, 100, with a caption."""
    canvas = Image.new("L", (256, 256), 100)
    write_caption(canvas, text, mark)
    return set(canvas.tobytes())


def test_the_caption_stands_out_from_its_ground() -> None:
    image = Image.open(BytesIO(draw(Picture("castle", 0, width=512, height=512))))
    levels = image.crop((0, 480, 512, 512)).convert("L").tobytes()
    assert max(levels) - min(levels) > 150


def test_captions_wrap_at_spaces_and_end_in_an_ellipsis() -> None:
    lines = wrapped("one two three four five six seven eight nine ten eleven twelve", 120, 3)
    assert len(lines) == 3
    widths = [Lettering(list(line), 20).width(list(line)) for line in lines]
    assert max(widths) <= 120
    assert "one two three".startswith(lines[0])
    assert lines[-1].endswith("…")
    assert wrapped("unbreakable" * 9, 120, 20)[0].startswith("unbreak")
    assert wrapped("fits", 120, 3) == ["fits"]


def test_signs_are_plain_and_letters_are_themselves() -> None:
    assert legible("Smør—brød\x07 für\u2028Zoe\u0308") == "Smør-brød für Zoë"
    assert legible("👨\u200d👩") == "👨\u200d👩"


def test_a_caption_that_no_font_has_is_left_out() -> None:
    """No boxes, no part of it, and no ground that it would stand on."""
    assert captioned(NOBODY_DRAWS) == captioned(f"castle {NOBODY_DRAWS}") == {100}
    assert len(captioned("castle")) > 2


def test_the_number_of_an_image_stands_also_without_a_caption() -> None:
    assert len(captioned(NOBODY_DRAWS, "2/3")) > 2
