"""The campaign, short; and that it would see what it looks for."""

from __future__ import annotations

import warnings

from tests.attacks.images.campaign import mutant, pillow_decodes, run
from tests.attacks.images.seeds import seeds


def test_nothing_comes_of_broken_images_but_a_verdict() -> None:
    with warnings.catch_warnings(action="ignore"):
        report = run(1500, seed=7, slow=2)
    assert report.violations == []
    assert {"no image", "png", "jpeg", "webp", "gif", "svg"} <= report.verdicts.keys()


def test_a_mutant_is_made_again_by_its_number() -> None:
    files = seeds()
    made = [mutant(3, number, files) for number in range(50)]
    assert made == [mutant(3, number, files) for number in range(50)]
    assert len({data for data, _ in made}) > 45


def test_what_it_breaks_is_whole() -> None:
    assert [seed.kind for seed in seeds() if seed.kind != "svg" and not pillow_decodes(seed.data)] == []
