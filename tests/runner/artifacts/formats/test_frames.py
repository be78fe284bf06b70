"""Pictures as Pillow decodes them, and whether they are of one colour."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from runner.artifacts.formats.frames import colour


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "P", "1"])
def test_one_colour_is_told_in_every_mode(mode: str) -> None:
    assert colour(Image.new(mode, (30, 20), 1)) is not None


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (7, 9)])
def test_one_colour_is_told_at_every_size(size: tuple[int, int]) -> None:
    assert colour(Image.new("RGB", size, (1, 2, 3))) == (1, 2, 3, 255)


def test_what_a_lossy_format_makes_of_one_colour_is_one_colour() -> None:
    picture = Image.new("RGB", (64, 64), (100, 100, 100))
    ImageDraw.Draw(picture).point([(9, 9)], (104, 97, 105))
    assert colour(picture) is not None


@pytest.mark.parametrize("place", [(0, 0), (31, 31), (33, 3)])
def test_a_single_pixel_of_another_colour_is_seen(place: tuple[int, int]) -> None:
    picture = Image.new("RGB", (64, 64), (100, 100, 100))
    ImageDraw.Draw(picture).point([place], (100, 100, 120))
    assert colour(picture) is None
