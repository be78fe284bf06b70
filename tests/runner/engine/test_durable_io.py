"""What was paid for is kept when its place refuses it: in a spool file at once, in memory where that is refused too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from runner.artifacts.spool import spool_files
from runner.engine.durable_io import DurableIO
from runner.engine.ports import StoreRefused
from runner.engine.shutdown import Shutdown
from runner.workspace.folder import open_workspace
from schemas.errors import ExitCode
from schemas.outcome import Spooled
from tests.attacks.faults.pictures import picture
from tests.support.clock import clock
from tests.support.fakes import FakeLog, FakeStore
from tests.support.manifests import Record, prompts, row_stream
from tests.support.runs import Going, Ran, SeenRequest, Service, engine_run, good

DONE = ("succeeded", None)


def taken_in(out: Path, records: list[Record]) -> Ran:
    """What the next run makes of the folder, which asks the service for nothing."""
    with open_workspace(out, row_stream(records).job):
        pass
    service = Service(lambda asked: pytest.fail(f"{asked.prompt} was sent again"))
    return engine_run(out, service, records)


@pytest.mark.parametrize("spoilt", ["images", "images/0000"])
def test_images_that_have_no_place_any_more_are_spooled_at_once_and_saved_by_the_next_run(
    tmp_path: Path, spoilt: str
) -> None:
    (tmp_path / "images/0000").mkdir(parents=True)
    both_asked = asyncio.Event()

    async def late(asked: SeenRequest) -> web.StreamResponse:
        await both_asked.wait()
        return good(asked.prompt, asked.body.get("n", 1), usage={"input_tokens": 3, "output_tokens": 4})

    async def spoil(going: Going) -> None:
        await going.until(lambda: going.service.in_flight == 2)
        (tmp_path / spoilt).rename(tmp_path / "moved-away")
        (tmp_path / spoilt).write_bytes(b"")
        both_asked.set()

    rows: list[Record] = [{"id": "x", "prompt": "a", "n": "2"}, {"id": "y", "prompt": "b"}]
    ran = engine_run(tmp_path, Service(late), rows, beside=spoil)
    assert ran.outcomes == [("x", None, None), ("y", None, None)]
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.LOCAL
    assert f"this machine refused to write {tmp_path / 'images/0000'}: Not a directory" in ran.reason.text
    assert [path.parent.name for path in spool_files(tmp_path)] == ["quarantine"]
    assert ran.ledger("SELECT attempt FROM spooled") == [(0,), (1,)]
    (tmp_path / spoilt).unlink()
    (tmp_path / "moved-away").rename(tmp_path / spoilt)
    again = taken_in(tmp_path, rows)
    assert again.outcomes == [("x", *DONE), ("y", *DONE)]
    assert again.files == {"x/0": picture("a", 0), "x/1": picture("a", 1), "y/0": picture("b")}
    assert again.ledger("SELECT input_tokens, output_tokens, flags FROM outcomes") == [(3, 4, None)] * 2
    assert not spool_files(tmp_path)


def test_a_body_that_has_no_place_any_more_is_spooled_and_quarantined_by_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "quarantine").mkdir()

    async def useless(_asked: SeenRequest) -> web.StreamResponse:
        (tmp_path / "quarantine").rmdir()
        (tmp_path / "quarantine").symlink_to("nowhere")
        return web.json_response({"data": [], "note": "paid for"})

    ran = engine_run(tmp_path, Service(useless), prompts("a"))
    assert ran.outcomes == [("r0", None, None)]
    assert [path.parent for path in spool_files(tmp_path)] == [tmp_path]
    (tmp_path / "quarantine").unlink()
    again = taken_in(tmp_path, prompts("a"))
    ((kind, message, kept),) = again.ledger("SELECT kind, message, quarantined FROM outcomes")
    assert (kind, message, kept) == ("bad_content", "the answer's data is empty", "quarantine/r0-0.body")
    assert b"paid for" in (tmp_path / kept).read_bytes()
    assert not spool_files(tmp_path)


def durable(store: FakeStore) -> DurableIO:
    """To be used inside an event loop."""
    return DurableIO(store, FakeLog([]), Shutdown())


def refusing(times: int) -> tuple[list[str], object]:
    """A save that is refused so often, and the calls."""
    calls: list[str] = []

    async def save() -> str:
        calls.append("save")
        if len([call for call in calls if call == "save"]) <= times:
            raise StoreRefused(28, "No space left on device", "/out/images/0000")
        return "saved"

    return calls, save


@pytest.mark.parametrize(
    ("refusals", "spool_refusals", "steps", "end"),
    [
        (0, 0, ["save"], "saved"),
        (1, 0, ["save", "save"], "saved"),
        (9, 0, ["save", "save", "spool"], Spooled("s.tar")),
        (2, 9, ["save", "save", "spool", "save"], "saved"),
        (9, 1, ["save", "save", "spool", "save", "spool"], Spooled("s.tar")),
    ],
)
def test_a_save_is_tried_again_once_the_reserve_is_free_and_then_spooled(
    refusals: int, spool_refusals: int, steps: list[str], end: object
) -> None:
    calls, save = refusing(refusals)

    async def spool() -> str:
        calls.append("spool")
        if calls.count("spool") <= spool_refusals:
            raise StoreRefused(28, "No space left on device")
        return "s.tar"

    async def main() -> None:
        store = FakeStore([])
        made = durable(store)

        async def hurry() -> None:
            while True:
                await asyncio.sleep(0)
                clock().put_forward(1)

        helper = asyncio.create_task(hurry())
        assert await made.keep_or_spool(save, spool) == end  # type: ignore[arg-type]
        helper.cancel()
        assert store.released is (refusals > 0)
        assert (made.shutdown.reason is None) is (refusals == 0)

    asyncio.run(main())
    assert calls == steps


def test_what_nobody_takes_is_an_error_once_the_run_is_cut() -> None:
    _, save = refusing(99)

    async def spool() -> str:
        raise StoreRefused(28, "No space left on device")

    async def main() -> None:
        made = durable(FakeStore([]))
        made.shutdown.force()
        with pytest.raises(StoreRefused):
            await made.keep_or_spool(save, spool)  # type: ignore[arg-type]

    asyncio.run(main())
