"""Letters are drawn with a font that has them, and never as boxes."""

from __future__ import annotations

import pytest
from PIL import Image, features

from runner.simulator.pictures.lettering import Lettering, clusters

SAMPLES = (
    "Füchse auf Straßen",
    "晨曦中的山村",
    "夜明けの富士山",
    "새벽의 산",
    "ثعلب في الثلج",
    "लाल लोमड़ी",
    "Рыжая лиса",
    "🦊",
    "a fox 🦊 in 雪",
)


def drawn(text: str) -> Image.Image:
    """A line of 600 x 60 pixels. Skips the test where no font here has the text."""
    parts = clusters(text)
    try:
        lettering = Lettering(parts, 30)
    except LookupError:
        pytest.skip("no font of this machine has it")
    canvas = Image.new("L", (600, 60), 0)
    lettering.draw(canvas, 10, 40, 580, parts, 255)
    return canvas


def test_what_belongs_together_is_one_cluster() -> None:
    assert clusters("e\u0301f") == ["e\u0301", "f"]
    assert clusters("👨\u200d👩\u200d👧!") == ["👨\u200d👩\u200d👧", "!"]
    assert clusters("👍\U0001f3fd❄\ufe0f") == ["👍\U0001f3fd", "❄\ufe0f"]
    assert clusters("हिन्दी")[0] == "हि"


@pytest.mark.parametrize("text", SAMPLES)
def test_every_letter_of_a_text_has_a_shape_of_its_own(text: str) -> None:
    """Boxes are all the same: distinct letters that are drawn alike were drawn as what a font lacks."""
    letters = sorted({part for part in clusters(text) if not part.isspace()})
    shapes = {drawn(letter).tobytes() for letter in letters}
    assert len(shapes) == len(letters)
    assert drawn(text).getbbox() is not None


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow has no raqm here")
def test_a_line_that_reads_from_the_right_begins_there() -> None:
    box = drawn("ثعلب").getbbox()
    assert box is not None
    assert 550 < box[2] <= 592
    latin = drawn("fox").getbbox()
    assert latin is not None
    assert latin[0] < 20


def test_latin_letters_need_no_font_of_the_machine() -> None:
    lettering = Lettering(clusters("A fox in the snow, at dawn: 100% (oil)…"), 20)
    assert lettering.width(clusters("fox")) > 0


def test_characters_that_no_font_draws_are_refused() -> None:
    for text in ("\ue000", "\U0010ffff", "fox \uf8ff"):
        with pytest.raises(LookupError):
            Lettering(clusters(text), 20)
