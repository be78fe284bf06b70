"""A few answers of the campaign on every run of the tests: `python -m tests.attacks.answers` plays them by the thousand."""

from __future__ import annotations

import pytest

from tests.attacks.answers.campaign import campaign


@pytest.mark.parametrize("seed", [1, 2])
def test_no_answer_ends_more_than_its_own_row_and_none_that_was_paid_is_lost(seed: int) -> None:
    played = campaign(documents=400, headers=200, seed=seed)
    assert played.problems == []
    assert {"succeeded", "bad_content", "moderation", "rate_limited", "gateway"} <= played.ends.keys()


@pytest.mark.campaign
def test_answers_by_the_thousand() -> None:
    assert campaign(documents=20_000, headers=20_000, seed=3).problems == []
