"""What the ledger says of rows, attempts and money, read back from its own tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.ledger import attempt_log
from runner.ledger.attempts import AttemptReader
from runner.ledger.item_index import Gap, ItemIndex
from runner.ledger.reader import open_reader
from runner.ledger.statistics import recent_sends, totals
from schemas.attempt import Measured
from schemas.failures import Failure, FailureKind, RowStatus
from schemas.outcome import ABSENT, Failed, KeptBody, Link, MissingImage, Reported, Success, Task, Unfetched
from schemas.request import ImageRequest
from schemas.row import Row, RowProblem
from tests.support.ledgers import ENDPOINT, LedgerFolder, rows_of, saved
from tests.support.manifests import prompts, row_stream

KIND = FailureKind


def row(number: int, *, fingerprint: bytes | None = None, **fields: object) -> Row:
    """A row whose fingerprint is its number unless told."""
    request = ImageRequest(f"prompt {number}", tuple({"model": "m", **fields}.items()))
    return Row(number, f"r{number}", request, fingerprint or number.to_bytes(16, "big"))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[LedgerFolder]:
    """A folder with a run going on."""
    with LedgerFolder(tmp_path) as folder:
        yield folder


def statuses(workspace: LedgerFolder, *rows: Row) -> list[str]:
    """The rows' statuses as the index tells them."""
    index = ItemIndex(workspace.connection)
    return [status.value for status in index.statuses(index.items(rows))]


def test_an_empty_ledger_knows_no_row(workspace: LedgerFolder) -> None:
    index = ItemIndex(workspace.connection)
    assert len(index) == 0
    assert index.items([row(1), RowProblem(1, "x", None, "bad")]) == [ABSENT, ABSENT]
    assert index.statuses([ABSENT]) == [RowStatus.PENDING]


def test_rows_are_found_by_fingerprint_in_any_order(workspace: LedgerFolder) -> None:
    for number in (5, 3, 9):
        workspace.success(row(number), saved())
    wanted: list[Row | RowProblem] = [row(9), RowProblem(0, "x", None, "bad"), row(4), row(3), row(5), row(9)]
    assert ItemIndex(workspace.connection).items(wanted) == [2, ABSENT, ABSENT, 1, 0, 2]


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
    workspace: LedgerFolder, known: list[bytes], asked: list[bytes]
) -> None:
    workspace.connection.execute("BEGIN")
    workspace.connection.executemany("INSERT INTO items VALUES (?, ?, '', '', NULL)", list(enumerate(known)))
    rows = [row(0, fingerprint=print_) for print_ in (*known, *asked)]
    expected = [known.index(print_) if print_ in known else ABSENT for print_ in (*known, *asked)]
    found = ItemIndex(workspace.connection).items(rows)
    workspace.connection.execute("ROLLBACK")
    assert found == expected


def test_the_newest_outcome_counts_and_a_success_stays(workspace: LedgerFolder) -> None:
    workspace.failure(row(1), KIND.SERVER_ERROR, RowStatus.PENDING)
    workspace.failure(row(1), KIND.MODERATION, RowStatus.FAILED)
    workspace.success(row(2), saved())
    workspace.failure(row(2), KIND.TIMEOUT, RowStatus.PARKED)
    workspace.failure(row(3), KIND.TIMEOUT, RowStatus.PARKED)
    workspace.failure(row(3), KIND.QUOTA, RowStatus.PENDING)
    workspace.failure(row(4), KIND.TIMEOUT, RowStatus.PARKED)
    workspace.success(row(4), saved())
    workspace.intent(row(5))
    told = statuses(workspace, *(row(number) for number in (1, 2, 3, 4, 5, 6)))
    assert told == ["failed", "succeeded", "pending", "succeeded", "parked", "pending"]


def test_an_attempt_is_read_back_as_it_was_recorded(workspace: LedgerFolder) -> None:
    reported = Reported(
        created=1_700_000_000, request_id="req_1", task_id="t", input_tokens=5, output_tokens=7
    )
    images = (saved(0, "a", revised_prompt="a red fox", flags=("size_mismatch",)), saved(2, "a"))
    absent = MissingImage(1, KIND.DOWNLOAD, "HTTP 404", "a blue fox")
    request = row(1, n=3, size="auto")
    workspace.success(
        request,
        *images,
        missing=[absent],
        reported=reported,
        flags=("fewer_images",),
        cost_usd=0.5,
        cost_estimated=True,
    )
    (found,) = AttemptReader(workspace.connection).attempts_of([0])[0]
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


def test_a_failure_is_read_back_as_it_was_recorded(workspace: LedgerFolder) -> None:
    workspace.failure(
        row(1),
        KIND.BAD_CONTENT,
        RowStatus.FAILED,
        message="no image",
        code="c",
        http_status=200,
        quarantined=KeptBody("q", 1, "00" * 32),
    )
    (found,) = AttemptReader(workspace.connection).attempts_of([0])[0]
    assert (found.kind, found.message, found.code, found.http_status) == (
        KIND.BAD_CONTENT,
        "no image",
        "c",
        200,
    )
    assert (found.maybe_billed, found.images, found.missing) == (1, (), ())
    assert workspace.connection.execute("SELECT quarantined FROM outcomes").fetchall() == [("q",)]


def test_half_characters_are_kept_as_their_escapes(workspace: LedgerFolder) -> None:
    workspace.success(
        row(1, n=2),
        saved(0, revised_prompt="a fox \ud83e"),
        missing=[MissingImage(1, KIND.DOWNLOAD, "\udcff", "\ud83d")],
        reported=Reported(request_id="\udce9"),
    )
    workspace.failure(row(2), KIND.SERVER_ERROR, RowStatus.PENDING, message="\ud83d!", code="\ud83d")
    found = AttemptReader(workspace.connection).attempts_of([0, 1])
    (good,), (bad,) = found[0], found[1]
    assert good.images[0].revised_prompt == "a fox \\ud83e"
    assert (good.missing[0].message, good.missing[0].revised_prompt) == ("\\udcff", "\\ud83d")
    assert good.reported.request_id == "\\udce9"
    assert (bad.message, bad.code) == ("\\ud83d!", "\\ud83d")


def test_attempts_come_oldest_first_and_only_of_the_items_asked_for(workspace: LedgerFolder) -> None:
    for number in (1, 2, 1, 3, 1):
        workspace.failure(row(number), KIND.SERVER_ERROR, RowStatus.PENDING)
    found = AttemptReader(workspace.connection).attempts_of([0, ABSENT, 2, 77])
    assert {item: [attempt.attempt for attempt in attempts] for item, attempts in found.items()} == {
        0: [0, 2, 4],
        2: [3],
    }


def test_attempts_of_the_run_going_on_are_live(workspace: LedgerFolder) -> None:
    workspace.intent(row(1))
    workspace.next_run()
    workspace.intent(row(1))
    told = [attempt.live for attempt in AttemptReader(workspace.connection, live_run=1).attempts_of([0])[0]]
    assert told == [False, True]


def test_equal_parameters_are_kept_once(workspace: LedgerFolder) -> None:
    for number in range(5):
        workspace.success(row(number), saved())
    workspace.success(row(9, size="auto"), saved())
    assert workspace.connection.execute("SELECT count(*) FROM params").fetchone()[0] == 2


def test_totals_add_up_what_was_paid_and_what_may_have_been(workspace: LedgerFolder) -> None:
    workspace.success(row(1), saved(), cost_usd=0.5, reserved_usd=0.75)
    workspace.success(row(2, n=2), saved(0), saved(1), cost_usd=None, reserved_usd=0.25)
    workspace.failure(row(3), KIND.RATE_LIMITED, RowStatus.PENDING, reserved_usd=8.0)
    workspace.failure(row(4), KIND.TIMEOUT, RowStatus.PARKED, reserved_usd=2.0)
    workspace.failure(row(5), KIND.BAD_CONTENT, RowStatus.FAILED, reserved_usd=1.0, cost_usd=3.0)
    workspace.intent(row(6), reserved_usd=16.0)
    found = totals(workspace.connection)
    assert (found.requests, found.images, found.maybe_billed) == (6, 3, 2)
    assert found.cost_usd == 3.5
    assert found.spent_usd == 0.5 + 2.0 + 3.0 + 16.0


def test_a_folder_without_prices_has_no_cost(workspace: LedgerFolder) -> None:
    assert (totals(workspace.connection).cost_usd, totals(workspace.connection).spent_usd) == (None, 0.0)
    workspace.success(row(1), saved())
    assert totals(workspace.connection).cost_usd is None


def test_resends_of_ambiguous_requests_are_counted(workspace: LedgerFolder) -> None:
    workspace.failure(row(1), KIND.TIMEOUT, RowStatus.PENDING)
    workspace.failure(row(1), KIND.TIMEOUT, RowStatus.PARKED)
    workspace.failure(row(2), KIND.RATE_LIMITED, RowStatus.PENDING)
    workspace.failure(row(3), KIND.DISCONNECTED, RowStatus.PENDING)
    assert totals(workspace.connection).resent == 2


def test_requests_of_the_last_window_are_told_with_their_age(workspace: LedgerFolder) -> None:
    """Attempts of these tests leave at 2.000 s, 2.001 s, … of the Unix clock."""
    for number in range(4):
        workspace.intent(row(number, n=number + 1))
    told = recent_sends(workspace.connection, 60.0, 62.0015)
    assert [n for _, n in told] == [3, 4]
    assert [age for age, _ in told] == pytest.approx([59.9995, 59.9985])
    assert [age for age, _ in recent_sends(workspace.connection, 60.0, 1.0)] == [0.0] * 4


def test_an_index_is_of_one_moment_though_the_ledger_grows_under_it(workspace: LedgerFolder) -> None:
    rows = rows_of(row_stream(prompts(*"abcdefghijklmnop")))
    workspace.success(rows[0], saved())
    more = iter(rows[1:])
    with closing(open_reader(workspace.root)) as reader:
        reader.set_trace_callback(
            lambda _sql: None if (row := next(more, None)) is None else workspace.success(row, saved())
        )
        index = ItemIndex(reader)
        reader.set_trace_callback(None)
        assert len(index) == len([item for item in index.items(rows) if item != ABSENT])


def waits(saved_images: int | None = 0) -> Unfetched:
    """One image of two is still to be fetched."""
    return Unfetched((Link(1, "https://x/1.png?sig=s", "a red fox"),), 2, 0, 200, Reported(), 5, saved_images)


def unfetched(workspace: LedgerFolder, number: int, *, task: bool = False, concluded: bool = True) -> Row:
    """A row whose second image is to be fetched."""
    asked = row(number, n=2)
    attempt = workspace.intent(asked, reserved_usd=0.5)
    if task:
        workspace.ledger.record(attempt_log.accepted_task(attempt, Task("t"), 4))
    workspace.ledger.record(attempt_log.accepted_task(attempt, waits(None), 5))
    if concluded:
        failed = Failed(Failure(KIND.DOWNLOAD, "HTTP 503"), unfetched=waits())
        workspace.ledger.record(
            attempt_log.failure(failed, RowStatus.PENDING, Measured(attempt, 9, 1.0, 0.25))
        )
    return asked


@pytest.mark.parametrize("concluded", [True, False])
@pytest.mark.parametrize("task", [True, False])
def test_a_row_whose_image_is_to_be_fetched_is_pending_and_not_sent_again(
    workspace: LedgerFolder, task: bool, concluded: bool
) -> None:
    """G2. It counts as paid for, and not as a request that was sent again; nobody parks it."""
    asked = unfetched(workspace, 1, task=task, concluded=concluded)
    sums = totals(workspace.connection)
    assert (sums.resent, sums.spent_usd) == (0, 0.5)
    assert workspace.ledger.undecided_attempts() + sums.maybe_billed == 1
    assert workspace.ledger.park_dead_attempts(now_ms=9) == 0
    assert statuses(workspace, asked) == ["pending"]
    assert workspace.ledger.waiting_items() == {0}
    (found,) = workspace.ledger.open_tasks()
    assert (found.task, found.reserved_usd, found.attempt) == (waits(0 if concluded else None), 0.5, 0)


def test_a_partly_fetched_row_lacks_the_other_image_until_it_is_there(workspace: LedgerFolder) -> None:
    asked = unfetched(workspace, 1, concluded=False)
    half = Success((saved(0),), unfetched=waits(1))
    workspace.ledger.record(attempt_log.success(half, Measured(0, 9, 1.0, 0.25)))
    assert workspace.ledger.item_index().gaps == {0: Gap(RowStatus.PENDING, (1,))}
    assert statuses(workspace, asked) == ["pending"]
    assert [task.reserved_usd for task in workspace.ledger.open_tasks()] == [0.25]
    workspace.ledger.record(attempt_log.success(Success((saved(1),)), Measured(0, 9, 1.0, 0.25)))
    assert workspace.ledger.item_index().gaps == {}
    assert statuses(workspace, asked) == ["succeeded"]
    assert workspace.ledger.open_tasks() == []
    assert totals(workspace.connection).cost_usd == 0.25


def test_a_body_in_quarantine_stays_known_when_the_rest_of_its_answer_is_fetched(
    workspace: LedgerFolder,
) -> None:
    unfetched(workspace, 1, concluded=False)
    body = KeptBody("quarantine/x.body", 3, "00" * 32)
    half = Success((saved(0),), quarantined=body, unfetched=waits(1))
    workspace.ledger.record(attempt_log.success(half, Measured(0, 9, 1.0)))
    workspace.ledger.record(attempt_log.success(Success((saved(1),)), Measured(0, 9, 1.0)))
    assert [kept.body for kept in workspace.ledger.kept_answers()] == ["quarantine/x.body"]
    assert workspace.ledger.forgotten_bodies() == []
