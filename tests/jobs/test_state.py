"""Every line of the table at the top of `jobs.state`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.state import AttemptRecord, ImageState, fold
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import Link, MissingImage, SavedImage


def image(index: int, name: str = "x", revised: str | None = None) -> SavedImage:
    """A saved image."""
    return SavedImage(index, f"images/0000/{name}-{index}.png", "png", 8, 8, 99, "00" * 32, revised)


def attempt(number: int, status: RowStatus | None = None, **more: Any) -> AttemptRecord:
    """An attempt of the one row of these tests; an image for each of `indexes`, named by the attempt."""
    indexes = more.pop("indexes", ())
    return AttemptRecord(
        attempt=number,
        item=0,
        params={},
        n=2,
        sent_ms=number,
        endpoint="e",
        live=more.pop("live", False),
        status=status,
        images=tuple(image(index, str(number)) for index in indexes),
        **more,
    )


def succeeded(number: int, *indexes: int, **more: Any) -> AttemptRecord:
    """A success that brought the images of these indexes."""
    return attempt(number, RowStatus.SUCCEEDED, indexes=indexes, **more)


def ended(number: int, status: RowStatus, kind: FailureKind, **more: Any) -> AttemptRecord:
    """An attempt without an image."""
    return attempt(number, status, kind=kind, message=f"why {number}", **more)


def told(states: tuple[ImageState, ...]) -> list[tuple[str, str | None]]:
    """Status and kind of each image."""
    return [(state.status.value, state.kind.value if state.kind else None) for state in states]


def test_no_attempt_is_pending() -> None:
    state = fold([], 2)
    assert told(state.images) == [("pending", "stopped")] * 2
    assert (state.attempts, state.maybe_billed, state.cost_usd) == (0, 0, None)


def test_a_success_is_told_image_by_image() -> None:
    state = fold([succeeded(1, 0, 1)], 2)
    assert told(state.images) == [("succeeded", None)] * 2
    assert [each.image.file_name for each in state.images if each.image] == [
        "images/0000/1-0.png",
        "images/0000/1-1.png",
    ]


def test_an_index_that_the_answer_lacked_failed() -> None:
    state = fold([succeeded(1, 0)], 2)
    assert told(state.images) == [("succeeded", None), ("failed", "bad_content")]


def test_an_index_with_a_reason_of_its_own_keeps_it() -> None:
    absent = MissingImage(1, FailureKind.DOWNLOAD, "HTTP 404", "a red fox")
    state = fold([succeeded(1, 0, missing=(absent,))], 2)
    lost = state.images[1]
    assert (lost.status, lost.kind, lost.message, lost.revised_prompt) == (
        RowStatus.FAILED,
        FailureKind.DOWNLOAD,
        "HTTP 404",
        "a red fox",
    )


@pytest.mark.parametrize(
    "later",
    [
        ended(2, RowStatus.FAILED, FailureKind.MODERATION),
        ended(2, RowStatus.PARKED, FailureKind.TIMEOUT),
        ended(2, RowStatus.PENDING, FailureKind.RATE_LIMITED),
        attempt(2),
        attempt(2, live=True),
    ],
)
def test_a_success_is_never_hidden_by_what_came_later(later: AttemptRecord) -> None:
    state = fold([succeeded(1, 0, 1), later], 2)
    assert told(state.images) == [("succeeded", None)] * 2
    assert state.attempts == 2


def test_the_newest_success_of_an_index_stands() -> None:
    state = fold([succeeded(1, 0, 1), succeeded(2, 0)], 2)
    assert [each.image.file_name for each in state.images if each.image] == [
        "images/0000/2-0.png",
        "images/0000/1-1.png",
    ]


def test_an_older_success_fills_what_the_newest_answer_lacked() -> None:
    absent = MissingImage(1, FailureKind.BAD_CONTENT, "no image")
    state = fold([succeeded(1, 0, 1), succeeded(2, 0, missing=(absent,))], 2)
    assert told(state.images) == [("succeeded", None)] * 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (RowStatus.FAILED, FailureKind.MODERATION),
        (RowStatus.PARKED, FailureKind.TRUNCATED),
        (RowStatus.PENDING, FailureKind.QUOTA),
    ],
)
def test_the_newest_outcome_counts(status: RowStatus, kind: FailureKind) -> None:
    before = ended(1, RowStatus.PARKED, FailureKind.TIMEOUT)
    state = fold([before, ended(2, status, kind)], 2)
    assert told(state.images) == [(status.value, kind.value)] * 2
    assert {each.message for each in state.images} == {"why 2"}


def test_images_that_no_request_was_for_are_pending_once_the_row_has_a_success() -> None:
    """A larger `--n`: the service was never asked for them, so they are no failures of its."""
    assert (
        told(fold([succeeded(1, 0, 1)], 4).images) == [("succeeded", None)] * 2 + [("pending", "stopped")] * 2
    )
    more = attempt(2, RowStatus.FAILED, kind=FailureKind.MODERATION)._replace(indexes=(2, 3))
    found = told(fold([succeeded(1, 0, 1), more], 5).images)
    assert found[2:] == [("failed", "moderation")] * 2 + [("pending", "stopped")]
    refused = ended(1, RowStatus.FAILED, FailureKind.MODERATION)
    assert told(fold([refused], 3).images) == [("failed", "moderation")] * 3


def test_an_attempt_in_flight_is_pending() -> None:
    state = fold([attempt(1, live=True)], 2)
    assert told(state.images) == [("pending", None)] * 2
    assert state.maybe_billed == 0


def test_an_attempt_of_a_dead_run_is_parked_and_may_have_been_paid() -> None:
    state = fold([attempt(1)], 2)
    assert told(state.images) == [("parked", "interrupted")] * 2
    assert state.maybe_billed == 1


def test_more_images_than_asked_are_not_rows_of_the_table() -> None:
    assert len(fold([succeeded(1, 0, 1, 2, 3)], 2).images) == 2


def test_money_adds_up_over_attempts() -> None:
    state = fold(
        [
            ended(1, RowStatus.PENDING, FailureKind.TIMEOUT, maybe_billed=1),
            ended(2, RowStatus.PENDING, FailureKind.BAD_CONTENT, maybe_billed=1, cost_usd=0.25),
            succeeded(3, 0, 1, cost_usd=0.5),
        ],
        2,
    )
    assert (state.attempts, state.maybe_billed, state.cost_usd) == (3, 2, 0.75)


STATUSES = st.none() | st.sampled_from([s for s in RowStatus if s is not RowStatus.INVALID])
ATTEMPTS = st.lists(
    st.builds(
        lambda status, indexes, live: (status, indexes if status is RowStatus.SUCCEEDED else (), live),
        STATUSES,
        st.sets(st.integers(0, 4)).map(tuple),
        st.booleans(),
    ),
    max_size=6,
)


@given(ATTEMPTS, st.integers(1, 4))
def test_every_image_asked_for_has_a_state_and_successes_are_kept(
    told: list[tuple[RowStatus | None, tuple[int, ...], bool]], n: int
) -> None:
    attempts = [
        attempt(i, status, indexes=indexes, live=live) for i, (status, indexes, live) in enumerate(told)
    ]
    state = fold(attempts, n)
    had = {saved.index for each in attempts for saved in each.images}
    assert len(state.images) == n
    assert {i for i, each in enumerate(state.images) if each.status is RowStatus.SUCCEEDED} == had & set(
        range(n)
    )
    assert all((each.image is not None) is (each.status is RowStatus.SUCCEEDED) for each in state.images)


def test_an_image_that_is_lacking_is_told_by_the_newest_attempt_that_asked_for_it() -> None:
    """A picture that was asked for alone says nothing of the others."""
    absent = MissingImage(1, FailureKind.DOWNLOAD, "no image 1")
    first = succeeded(1, 0, missing=(absent,))
    parked = ended(2, RowStatus.PARKED, FailureKind.TIMEOUT)
    for later in (parked._replace(indexes=(0,)), succeeded(2, 0)):
        state = fold([first, later._replace(indexes=(0,))], 2)
        assert told(state.images)[1] == ("failed", "download")
        assert [each.try_number for each in state.images] == [1 if later.status is RowStatus.PARKED else 2, 1]
    assert told(fold([first, parked._replace(indexes=(1,))], 2).images)[1] == ("parked", "timeout")


DOWN = Link(0, "https://x/1.png", "a red fox", kind=FailureKind.DOWNLOAD, message="HTTP 503")


@pytest.mark.parametrize("status", [None, RowStatus.PENDING])
def test_an_image_that_is_still_to_be_fetched_is_pending_and_says_why(status: RowStatus | None) -> None:
    waiting = attempt(1)._replace(status=status, links=(DOWN,))
    (image,) = fold([waiting], 1).images
    assert (image.status, image.kind, image.message) == (RowStatus.PENDING, FailureKind.DOWNLOAD, "HTTP 503")
    assert image.revised_prompt == "a red fox"


def test_of_a_row_that_is_partly_fetched_only_the_rest_is_pending() -> None:
    half = succeeded(1, 0)._replace(links=(replace(DOWN, position=1),))
    assert told(fold([half], 2).images) == [("succeeded", None), ("pending", "download")]


def test_the_links_of_a_request_for_some_images_are_theirs() -> None:
    asked = attempt(2)._replace(status=RowStatus.PENDING, indexes=(2,), links=(DOWN,))
    states = fold([succeeded(1, 0, 1), asked], 3).images
    assert told(states) == [("succeeded", None), ("succeeded", None), ("pending", "download")]


def test_an_answer_in_a_spool_file_is_there_whatever_links_it_had() -> None:
    kept = attempt(1)._replace(spooled="quarantine/spool-0.tar", links=(DOWN,))
    assert told(fold([kept], 1).images) == [("pending", "local")]
