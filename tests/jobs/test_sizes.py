"""What is a size, and which one was probably meant."""

from __future__ import annotations

import pytest

from jobs.rows import RequestDefaults, resolve_params
from jobs.sizes import size_problem


@pytest.mark.parametrize("text", ["auto", "1024x1024", "999x999", "64x64", "1x1", "16384x512"])
def test_sizes(text: str) -> None:
    assert size_problem(text, "size") is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1024*1024", "1024x1024"),
        ("1024X1536", "1024x1536"),
        ("1024 × 1024", "1024x1024"),
        ("1024px x 512px", "1024x512"),
        ("1024x", "1024x1024"),
        ("1000", "1000x1000"),
        ("Auto", "auto"),
    ],
)
def test_what_is_no_size_names_the_one_that_was_meant(text: str, meant: str) -> None:
    assert size_problem(text, "size") == f"size is {text!r}, which is no size; did you mean {meant}?"


@pytest.mark.parametrize("text", ["huge", "16:9", "0x0", "2K", "1024x1024x3", ""])
def test_what_is_no_size_and_like_none_says_what_one_is(text: str) -> None:
    problem = size_problem(text, "size")
    assert problem is not None and problem.endswith("such as 1024x1024, or auto")


def test_a_rows_own_size_is_named_by_its_column_and_one_that_goes_elsewhere_is_free() -> None:
    own, columns = (("size", "16:9"),), {"size": "format"}
    assert str(resolve_params(own, RequestDefaults(), columns).problem).startswith(
        "column 'format' is '16:9'"
    )
    assert resolve_params(own, RequestDefaults(odd_sizes=True), columns).problem is None
    assert resolve_params(own, RequestDefaults(dropped=("size",)), columns).problem is None
