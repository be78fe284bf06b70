"""What the ledger says of rows, attempts and money, read back from its own tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.ledger.attempts import AttemptReader
from runner.ledger.item_index import ItemIndex, recent_sends
from runner.ledger.reader import open_reader
from runner.ledger.totals import totals
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import ABSENT, MissingImage, Reported
from schemas.request import ImageRequest
from schemas.row import Row, RowProblem
from tests.runner.manifests import intake, prompts
from tests.runner.store.ledgers import ENDPOINT, LedgerFolder, rows_of, saved

KIND = FailureKind


def row(number: int, *, fingerprint: bytes | None = None, **fields: object) -> Row:
    """A row whose fingerprint is its number unless told."""
    request = ImageRequest(f"prompt {number}", tuple({"model": "m", **fields}.items()))
    return Row(number, f"r{number}", request, fingerprint or number.to_bytes(16, "big"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LedgerFolder]:
    """A folder with a run going on."""
    with LedgerFolder(tmp_path) as folder:
        yield folder


def statuses(place: LedgerFolder, *rows: Row) -> list[str]:
    """The rows' statuses as the index tells them."""
    index = ItemIndex(place.connection)
    return [status.value for status in index.statuses(index.items(rows))]


def test_an_empty_ledger_knows_no_row(place: LedgerFolder) -> None:
    index = ItemIndex(place.connection)
    assert len(index) == 0
    assert index.items([row(1), RowProblem(1, "x", None, "bad")]) == [ABSENT, ABSENT]
    assert index.statuses([ABSENT]) == [RowStatus.PENDING]


def test_rows_are_found_by_fingerprint_in_any_order(place: LedgerFolder) -> None:
    for number in (5, 3, 9):
        place.success(row(number), saved())
    wanted = [row(9), RowProblem(0, "x", None, "bad"), row(4), row(3), row(5), row(9)]
    assert ItemIndex(place.connection).items(wanted) == [2, ABSENT, ABSENT, 1, 0, 2]


EDGES = [
    b"\x00" * 16,
    b"\x00" * 15 + b"\x01",
    b"\x01" + b"\x00" * 15,
    b"\xff" * 16,
    b"ab\x00cd" + b"\x00" * 11,
]
PRINTS = st.one_of(st.sampled_from(EDGES), st.binary(min_size=16, max_size=16))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PRINTS, unique=True, max_size=20), st.lists(PRINTS, unique=True, max_size=10))
def test_every_fingerprint_is_told_apart_from_every_other(
    place: LedgerFolder, known: list[bytes], asked: list[bytes]
) -> None:
    place.connection.execute("BEGIN")
    place.connection.executemany("INSERT INTO items VALUES (?, ?, '', '')", list(enumerate(known)))
    rows = [row(0, fingerprint=print_) for print_ in (*known, *asked)]
    expected = [known.index(print_) if print_ in known else ABSENT for print_ in (*known, *asked)]
    found = ItemIndex(place.connection).items(rows)
    place.connection.execute("ROLLBACK")
    assert found == expected


def test_the_newest_outcome_counts_and_a_success_stays(place: LedgerFolder) -> None:
    place.failure(row(1), KIND.SERVER_ERROR, RowStatus.PENDING)
    place.failure(row(1), KIND.MODERATION, RowStatus.FAILED)
    place.success(row(2), saved())
    place.failure(row(2), KIND.TIMEOUT, RowStatus.PARKED)
    place.failure(row(3), KIND.TIMEOUT, RowStatus.PARKED)
    place.failure(row(3), KIND.QUOTA, RowStatus.PENDING)
    place.failure(row(4), KIND.TIMEOUT, RowStatus.PARKED)
    place.success(row(4), saved())
    place.intent(row(5))
    told = statuses(place, *(row(number) for number in (1, 2, 3, 4, 5, 6)))
    assert told == ["failed", "succeeded", "pending", "succeeded", "parked", "pending"]


def test_an_attempt_is_read_back_as_it_was_recorded(place: LedgerFolder) -> None:
    reported = Reported(
        created=1_700_000_000, request_id="req_1", task_id="t", input_tokens=5, output_tokens=7
    )
    images = (saved(0, "a", revised_prompt="a red fox", flags=("size_mismatch",)), saved(2, "a"))
    absent = MissingImage(1, KIND.DOWNLOAD, "HTTP 404", "a blue fox")
    request = row(1, n=3, size="auto")
    place.success(
        request,
        *images,
        missing=[absent],
        reported=reported,
        flags=("fewer_images",),
        cost_usd=0.5,
        cost_estimated=True,
    )
    (found,) = AttemptReader(place.connection).of([0])[0]
    assert found.images == images
    assert found.missing == (absent,)
    assert found.reported == reported
    assert found.params == {"model": "m", "n": 3, "size": "auto"}
    assert (found.n, found.endpoint, found.status, found.http_status) == (
        3,
        ENDPOINT,
        RowStatus.SUCCEEDED,
        200,
    )
    assert (found.sent_ms, found.finished_ms, found.latency_s) == (2_000, 3_000, 1.5)
    assert (found.cost_usd, found.cost_estimated, found.flags) == (0.5, True, ("fewer_images",))
    assert (found.kind, found.code, found.message, found.maybe_billed, found.live) == (
        None,
        None,
        None,
        0,
        False,
    )


def test_a_failure_is_read_back_as_it_was_recorded(place: LedgerFolder) -> None:
    place.failure(
        row(1),
        KIND.BAD_CONTENT,
        RowStatus.FAILED,
        message="no image",
        code="c",
        http_status=200,
        quarantined="q",
    )
    (found,) = AttemptReader(place.connection).of([0])[0]
    assert (found.kind, found.message, found.code, found.http_status) == (
        KIND.BAD_CONTENT,
        "no image",
        "c",
        200,
    )
    assert (found.maybe_billed, found.images, found.missing) == (1, (), ())
    assert place.connection.execute("SELECT quarantined FROM outcomes").fetchall() == [("q",)]


def test_half_characters_are_kept_as_their_escapes(place: LedgerFolder) -> None:
    place.success(
        row(1, n=2),
        saved(0, revised_prompt="a fox \ud83e"),
        missing=[MissingImage(1, KIND.DOWNLOAD, "\udcff", "\ud83d")],
        reported=Reported(request_id="\udce9"),
    )
    place.failure(row(2), KIND.SERVER_ERROR, RowStatus.PENDING, message="\ud83d!", code="\ud83d")
    found = AttemptReader(place.connection).of([0, 1])
    (good,), (bad,) = found[0], found[1]
    assert good.images[0].revised_prompt == "a fox \\ud83e"
    assert (good.missing[0].message, good.missing[0].revised_prompt) == ("\\udcff", "\\ud83d")
    assert good.reported.request_id == "\\udce9"
    assert (bad.message, bad.code) == ("\\ud83d!", "\\ud83d")


def test_attempts_come_oldest_first_and_only_of_the_items_asked_for(place: LedgerFolder) -> None:
    for number in (1, 2, 1, 3, 1):
        place.failure(row(number), KIND.SERVER_ERROR, RowStatus.PENDING)
    found = AttemptReader(place.connection).of([0, ABSENT, 2, 77])
    assert {item: [attempt.attempt for attempt in attempts] for item, attempts in found.items()} == {
        0: [0, 2, 4],
        2: [3],
    }


def test_attempts_of_the_run_going_on_are_live(place: LedgerFolder) -> None:
    place.intent(row(1))
    place.next_run()
    place.intent(row(1))
    told = [attempt.live for attempt in AttemptReader(place.connection, live_run=1).of([0])[0]]
    assert told == [False, True]


def test_equal_parameters_are_kept_once(place: LedgerFolder) -> None:
    for number in range(5):
        place.success(row(number), saved())
    place.success(row(9, size="auto"), saved())
    assert place.connection.execute("SELECT count(*) FROM params").fetchone()[0] == 2


def test_totals_add_up_what_was_paid_and_what_may_have_been(place: LedgerFolder) -> None:
    place.success(row(1), saved(), cost_usd=0.5, reserved_usd=0.75)
    place.success(row(2, n=2), saved(0), saved(1), cost_usd=None, reserved_usd=0.25)
    place.failure(row(3), KIND.RATE_LIMITED, RowStatus.PENDING, reserved_usd=8.0)
    place.failure(row(4), KIND.TIMEOUT, RowStatus.PARKED, reserved_usd=2.0)
    place.failure(row(5), KIND.BAD_CONTENT, RowStatus.FAILED, reserved_usd=1.0, cost_usd=3.0)
    place.intent(row(6), reserved_usd=16.0)
    found = totals(place.connection)
    assert (found.requests, found.images, found.maybe_billed) == (6, 3, 2)
    assert found.cost_usd == 3.5
    assert found.spent_usd == 0.5 + 2.0 + 3.0 + 16.0


def test_a_folder_without_prices_has_no_cost(place: LedgerFolder) -> None:
    assert (totals(place.connection).cost_usd, totals(place.connection).spent_usd) == (None, 0.0)
    place.success(row(1), saved())
    assert totals(place.connection).cost_usd is None


def test_resends_of_ambiguous_requests_are_counted(place: LedgerFolder) -> None:
    place.failure(row(1), KIND.TIMEOUT, RowStatus.PENDING)
    place.failure(row(1), KIND.TIMEOUT, RowStatus.PARKED)
    place.failure(row(2), KIND.RATE_LIMITED, RowStatus.PENDING)
    place.failure(row(3), KIND.DISCONNECTED, RowStatus.PENDING)
    assert totals(place.connection).resent == 2


def test_requests_of_the_last_window_are_told_with_their_age(place: LedgerFolder) -> None:
    """Attempts of these tests leave at 2.000 s, 2.001 s, … of the Unix clock."""
    for number in range(4):
        place.intent(row(number, n=number + 1))
    told = recent_sends(place.connection, 60.0, 62.0015)
    assert told == [(pytest.approx(59.9995), 3), (pytest.approx(59.9985), 4)]
    assert [age for age, _ in recent_sends(place.connection, 60.0, 1.0)] == [0.0] * 4


def test_an_index_is_of_one_moment_though_the_ledger_grows_under_it(place: LedgerFolder) -> None:
    rows = rows_of(intake(prompts(*"abcdefghijklmnop")))
    place.success(rows[0], saved())
    more = iter(rows[1:])
    with closing(open_reader(place.root)) as reader:
        reader.set_trace_callback(
            lambda _sql: None if (row := next(more, None)) is None else place.success(row, saved())
        )
        index = ItemIndex(reader)
        reader.set_trace_callback(None)
        assert len(index) == len([item for item in index.items(rows) if item != ABSENT])
