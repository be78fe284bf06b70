"""Prompts that are hardly meant as such are told of, once for each kind, with an example."""

from __future__ import annotations

import pytest

from jobs.suspect_prompts import Suspects

PLACES = ("line 1", "line 2", "line 3")


@pytest.mark.parametrize("prompt", ["nan", "NaN", "None", "NULL", "null", "<NA>", "NaT", "#N/A", "#REF!"])
def test_missing_values_that_became_text(prompt: str) -> None:
    told = Suspects().warning(prompt, PLACES, 1)
    assert told == f"the prompt is {prompt!r}: is a value missing? (the first: line 2)"


@pytest.mark.parametrize("prompt", ["prompt", "Prompts", "caption"])
def test_a_header_among_the_prompts(prompt: str) -> None:
    assert (
        Suspects().warning(prompt, PLACES, 0)
        == f"the prompt is {prompt!r}: is it a header? (the first: line 1)"
    )


@pytest.mark.parametrize(
    ("prompt", "start", "form"),
    [
        ("# animals", "#", "a comment"),
        ("  #animals", "#", "a comment"),
        ("\t// castles", "//", "a comment"),
        ('--prompt "a castle" --negative_prompt "trees"', "--", "an option"),
    ],
)
def test_lines_that_are_comments_elsewhere(prompt: str, start: str, form: str) -> None:
    told = Suspects().warning(prompt, PLACES, 2)
    assert told is not None
    assert told.startswith(
        f"the prompt begins with {start} like {form} and is sent as it is (the first: line 3, "
    )
    assert prompt.strip()[:9] in told


@pytest.mark.parametrize(
    "prompt", ["NA", "none", "a # b", "/imagine", "-", "- a list", "a", "text", " nan", "nanny"]
)
def test_prompts_like_any_other(prompt: str) -> None:
    assert Suspects().warning(prompt, PLACES, 0) is None


def test_the_first_stands_for_its_kind() -> None:
    suspects = Suspects()
    first = suspects.warning("# a", PLACES, 0)
    assert suspects.warning("# b", PLACES, 1) == first
    assert suspects.warning("// b", PLACES, 1) != first
