"""Placeholders among the pictures, told while they come and in the end."""

from __future__ import annotations

import sys

import pytest

from jobs.odd_pictures import FIRST_TOLD, OddPictures, warnings
from schemas.counts import Repeated
from schemas.outcome import SavedImage
from schemas.reports import RunWarning


def image(digest: str, *flags: str) -> SavedImage:
    """An image with this digest."""
    return SavedImage(0, f"images/{digest}.png", "png", 8, 8, 100, digest, flags=flags)


def notes(*rows: list[SavedImage]) -> list[str]:
    """What is told after all of these rows."""
    seen = OddPictures()
    for images in rows:
        seen.add(images)
    return seen.notes


def test_the_same_picture_is_told_at_the_fifth_row_and_at_ten_times_as_many() -> None:
    found = notes(*[[image("a")]] * 5000)
    assert [note.partition(" rows")[0] for note in found] == ["5", "50", "500", "5,000"]
    assert found[0] == "5 rows have the same picture so far: duplicate_image"


def test_rows_count_and_not_the_images_of_one() -> None:
    assert notes([image("a")] * 20, *[[image("b")]] * (FIRST_TOLD - 1)) == []


def test_pictures_of_one_colour_are_told_too() -> None:
    found = notes(*[[image(str(row), "size_mismatch", "blank_image")] for row in range(7)])
    assert found == ["5 rows have a picture of one colour so far: blank_image"]


def test_different_pictures_are_nothing_to_tell_and_do_not_pile_up() -> None:
    seen = OddPictures()
    for row in range(100_000):
        seen.add([image(f"{row:064x}")])
    assert seen.notes == []
    assert sum(map(sys.getsizeof, vars(seen).values())) < 2_000_000


def test_one_that_comes_again_and_again_is_remembered_among_many_others() -> None:
    rows = [[image("a" if row % 9_000 == 0 else f"{row:064x}")] for row in range(45_000)]
    assert notes(*rows) == ["5 rows have the same picture so far: duplicate_image"]


@pytest.mark.parametrize(
    ("repeated", "blank", "told"),
    [
        ((), 0, []),
        ((), 1, [("blank_image", "1 row has a picture of one colour: blank_image", 1)]),
        (
            (Repeated(25, "images/0000/x-5-0.png"),),
            1200,
            [
                (
                    "duplicate_image",
                    "25 rows have the same picture (images/0000/x-5-0.png): duplicate_image",
                    25,
                ),
                ("blank_image", "1,200 rows have a picture of one colour: blank_image", 1200),
            ],
        ),
        (
            (Repeated(25, "a.png"), Repeated(3, "b.png"), Repeated(2, "c.png")),
            0,
            [
                (
                    "duplicate_image",
                    "25 rows have the same picture (a.png), 5 more share 2 others: duplicate_image",
                    30,
                )
            ],
        ),
    ],
)
def test_the_report_tells_how_many_rows_are_concerned(
    repeated: tuple[Repeated, ...], blank: int, told: list[tuple[str, str, int]]
) -> None:
    assert warnings(repeated, blank) == tuple(RunWarning(*each) for each in told)
