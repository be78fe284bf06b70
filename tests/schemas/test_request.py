"""A request is what was set, and nothing else; equal parameter sets have equal text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.request import FIELDS, ImageRequest, canonical_params

PARAMS = st.dictionaries(st.sampled_from([*FIELDS, "seed", "user"]), st.one_of(st.text(), st.integers())).map(
    lambda fields: tuple(fields.items())
)


def test_a_body_holds_the_prompt_and_the_parameters_that_were_set() -> None:
    request = ImageRequest("a fox", (("model", "m"), ("n", 2)))
    assert request.body() == {"prompt": "a fox", "model": "m", "n": 2}


def test_a_request_without_n_asks_for_one_image() -> None:
    assert ImageRequest("a fox", ()).n == 1


def test_a_parameter_that_is_not_sent_has_the_callers_default() -> None:
    request = ImageRequest("a fox", (("size", "auto"),))
    assert (request.get("size", "x"), request.get("quality", "x"), request.get("quality")) == (
        "auto",
        "x",
        None,
    )


@given(PARAMS)
def test_canonical_text_does_not_depend_on_order(params: tuple[tuple[str, object], ...]) -> None:
    assert canonical_params(params) == canonical_params(tuple(reversed(params)))


@given(PARAMS, PARAMS)
def test_canonical_texts_are_equal_only_for_equal_sets(
    one: tuple[tuple[str, object], ...], other: tuple[tuple[str, object], ...]
) -> None:
    assert (canonical_params(one) == canonical_params(other)) is (dict(one) == dict(other))


def test_fields_with_bounds_are_whole_numbers() -> None:
    bounded = {name for name, rule in FIELDS.items() if rule.minimum is not None}
    assert (
        bounded == {name for name, rule in FIELDS.items() if rule.kind is int} == {"n", "output_compression"}
    )
