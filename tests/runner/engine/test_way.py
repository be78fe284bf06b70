"""The way of one row through the ports: which is called, in which order. See docs/contributing/architecture.md."""

from __future__ import annotations

import asyncio

import pytest

from schemas.errors import ExitCode
from schemas.failures import Failure, FailureKind, RowStatus
from schemas.outcome import Failed, Success, Task
from schemas.received import Rejected, Result
from schemas.row import Row
from tests.support.fakes import received, row
from tests.support.world import World, world

WAITS = ["budget.refusal", "store.room_for", "limiter.permit", "budget.refusal", "store.room_for"]
SENDS = ["budget.reserve", "log.intend", "road.send"]
KEPT = ["store.save_image", "log.conclude", "budget.settle", "limiter.admitted", "road.released"]


def run(made: World) -> None:
    """Run the engine to its end."""

    async def main() -> None:
        await made.engine().run()

    asyncio.run(main())


def test_a_row_goes_through_each_port_once_and_in_this_order() -> None:
    made = world(lambda _row, _turn: received(b"image"), [row()])
    run(made)
    way = ["limiter.start", "source.next", *WAITS, *SENDS, *KEPT, "source.close"]
    seen = [call for call in made.journal if call != "source.next"]
    assert seen == [call for call in way if call != "source.next"]
    outcome, status, measured = made.log.outcomes[0]
    assert isinstance(outcome, Success)
    assert (status, measured.cost_usd, measured.latency_s) == (RowStatus.SUCCEEDED, 0.1, 0.5)
    assert made.store.files == {"images/r0-0-0.png": b"image"}
    assert len(made.limiter.permits[0].left) == 1


def test_a_row_that_is_sent_again_goes_back_to_the_budget() -> None:
    def answer(_row: Row, turn: int) -> Result:
        if turn == 0:
            return Rejected(Failure(FailureKind.CONNECT, "nobody listens", retry_after_s=0.0))
        return received(b"image")

    made = world(answer, [row()])
    run(made)
    sends = [i for i, call in enumerate(made.journal) if call == "road.send"]
    first, second = made.journal[: sends[0] + 1], made.journal[sends[0] + 1 : sends[1] + 1]
    assert [call for call in first if call != "source.next"] == ["limiter.start", *WAITS, *SENDS]
    assert [call for call in second if call in {*WAITS, *SENDS}] == [*WAITS, *SENDS]
    assert [made.log.outcomes[i][1] for i in (0, 1)] == [RowStatus.PENDING, RowStatus.SUCCEEDED]
    assert made.log.intents[1].item == made.log.intents[0].item


def test_a_task_is_durable_before_its_answer_counts() -> None:
    made = world(lambda _row, _turn: received(b"image"), [row()])
    made.road.tasks = {"r0": Task("t1")}
    run(made)
    calls = [call for call in made.journal if call.startswith(("log", "road", "store.save"))]
    assert calls == [
        "log.intend",
        "road.send",
        "log.accepted",
        "store.save_image",
        "log.conclude",
        "road.released",
    ]
    assert made.log.tasks == {0: Task("t1")}


def test_what_is_no_image_is_quarantined_before_the_outcome() -> None:
    made = world(lambda _row, _turn: received(b"bad"), [row()])
    run(made)
    outcome, status, _ = made.log.outcomes[0]
    assert isinstance(outcome, Failed)
    assert (outcome.failure.kind, status) == (FailureKind.BAD_CONTENT, RowStatus.FAILED)
    calls = [call for call in made.journal if call.startswith(("log", "store.save", "store.quar"))]
    assert calls == ["log.intend", "store.save_image", "store.quarantine", "log.conclude"]


def test_a_disk_that_refuses_stops_the_sending_and_not_the_saving() -> None:
    made = world(lambda _row, _turn: received(b"image"), [row(0)])
    made.store.refuses = 1
    run(made)
    assert made.shutdown.reason is not None
    assert made.shutdown.reason.exit_code is ExitCode.LOCAL
    assert made.store.released
    assert made.log.outcomes[0][1] is RowStatus.SUCCEEDED


def test_no_request_leaves_without_a_durable_intent() -> None:
    made = world(lambda _row, _turn: received(b"image"), [row(0)])
    made.log.refuses = 1
    run(made)
    assert "road.send" not in made.journal
    assert (made.budget.reserved_usd, made.budget.spent_usd) == (0.0, 0.0)


def test_a_used_up_budget_ends_the_run_before_anything_is_sent() -> None:
    made = world(lambda _row, _turn: received(b"image"), [row(i) for i in range(3)])
    made.budget.requests = 2
    run(made)
    assert made.shutdown.reason is not None
    assert made.shutdown.reason.exit_code is ExitCode.BUDGET
    assert made.journal.count("road.send") == 2


@pytest.mark.parametrize(
    ("capacity", "calls"), [(1, ["road.send", "road.released"] * 4), (None, ["road.send"] * 4)]
)
def test_a_road_has_no_more_under_way_than_its_capacity(capacity: int | None, calls: list[str]) -> None:
    made = world(lambda _row, _turn: received(b"image"), [row(i) for i in range(4)])
    made.road.capacity = capacity
    run(made)
    seen = [call for call in made.journal if call.startswith("road")]
    assert seen[: len(calls)] == calls


def test_a_refusal_for_speed_slows_all_senders() -> None:
    def answer(_row: Row, turn: int) -> Result:
        if turn == 0:
            return Rejected(Failure(FailureKind.RATE_LIMITED, "slower", retry_after_s=0.02))
        return received(b"image")

    made = world(answer, [row()])
    run(made)
    assert made.journal.count("limiter.throttled") == 1
    assert "service busy" in made.limiter.waiting_reason
