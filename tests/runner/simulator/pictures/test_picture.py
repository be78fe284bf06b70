"""Images are real, exact, the same every time, and different for every prompt."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image, ImageChops

from runner.simulator.pictures.picture import Picture, draw

SIZES = [(1024, 1024), (1536, 1024), (1024, 1536), (64, 64), (16, 16), (48, 16), (272, 800)]


ODD_PROMPTS = [
    "",
    "\ud800",
    "\x00\x1b[31m",
    "東京の夜景",
    "🦊" * 40,
    "é" * 32_000,
    "word " * 6_000,
    "\n\n",
    "x" * 500,
]


def decoded(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_size_and_format_asked_for(kind: str, size: tuple[int, int]) -> None:
    image = decoded(draw(Picture("a red fox", 0, width=size[0], height=size[1], format=kind)))
    assert (image.format, image.size, image.mode) == (kind.upper(), size, "RGB")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_same_bytes_every_time(kind: str) -> None:
    picture = Picture("a red fox", 7, 1, 3, 128, 128, kind)
    assert draw(picture) == draw(picture)


def test_png_and_webp_show_the_same_scene() -> None:
    png = decoded(draw(Picture("a red fox", 0, width=128, height=128)))
    webp = decoded(draw(Picture("a red fox", 0, width=128, height=128, format="webp", compression=100)))
    assert _distance(png, webp) < 8


def test_every_prompt_index_and_seed_looks_different() -> None:
    pictures = [Picture(f"prompt {k}", 0, width=96, height=96) for k in range(40)]
    pictures += [Picture("prompt 0", 0, index, 4, 96, 96) for index in range(1, 4)]
    pictures += [Picture("prompt 0", seed, width=96, height=96) for seed in range(1, 4)]
    thumbnails = [decoded(draw(picture)).resize((12, 12)) for picture in pictures]
    closest = min(
        _distance(one, other) for place, one in enumerate(thumbnails) for other in thumbnails[:place]
    )
    assert closest > 3


def _distance(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of a channel, 0 to 255."""
    data = ImageChops.difference(one, other).tobytes()
    return sum(data) / len(data)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_transparent_backgrounds_have_real_alpha(kind: str) -> None:
    image = decoded(draw(Picture("a logo", 0, width=256, height=192, format=kind, transparent=True)))
    alpha = image.getchannel("A")
    assert image.mode == "RGBA"
    assert [alpha.getpixel(corner) for corner in ((0, 0), (255, 0), (0, 191), (255, 191))] == [0] * 4
    assert alpha.getpixel((128, 96)) == 255
    assert any(0 < value < 255 for value in alpha.tobytes())


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_compression_is_the_encoders_quality(kind: str) -> None:
    sizes = [
        len(draw(Picture("a fox", 0, width=256, height=256, format=kind, compression=q)))
        for q in (0, 50, 100)
    ]
    assert sizes == sorted(sizes)
    assert sizes[2] > 2 * sizes[0]


@pytest.mark.parametrize("prompt", ODD_PROMPTS, ids=range(len(ODD_PROMPTS)))
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    assert decoded(draw(Picture(prompt, 0, 1, 4, 128, 64))).size == (128, 64)


def test_grain_makes_files_as_large_as_real_ones() -> None:
    plain = Picture("a fox", 0)
    sizes = [len(draw(replace(plain, grain=True, seed=seed))) for seed in range(4)]
    assert 1.5e6 < min(sizes) <= max(sizes) < 3e6
    assert len(set(sizes)) == 4
    assert draw(replace(plain, grain=True)) == draw(replace(plain, grain=True))
    assert len(draw(plain)) < 2e5
