"""The second process for saves: the same files and ends as in threads, and nothing lost when it dies or stands still."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.artifacts.image_checks import SlowCheck
from runner.artifacts.image_store import ImageStore, Saved, ToSave
from runner.artifacts.save_process import SLOT_BYTES, SLOTS, ProcessLost, SaveProcess
from runner.artifacts.save_queue import SHORT_RUN, SaveQueue
from runner.engine.shutdown import CancelEvent
from schemas.artifacts import Check, Label, NotAnImage, RequestedFormat
from schemas.outcome import SavedImage
from tests.attacks.faults.pictures import HTML, picture
from tests.support.images import jpeg_of_scans
from tests.support.processes import children
from tests.support.waiting import until

CHECK = Check(50_000_000)
ANY = RequestedFormat(None, None)
KEY = "sk-of-the-environment"


def order(number: int, data: bytes, *pieces: bytes) -> ToSave:
    """An image to be saved for this attempt."""
    return ToSave((data, *pieces), ANY, Label(number, 0, f"fox-{number}"))


def foxes(count: int, start: int = 0) -> list[ToSave]:
    """So many images."""
    return [order(start + number, picture(f"fox {number}")) for number in range(count)]


@asynccontextmanager
async def started(
    images: ImageStore, cancel: CancelEvent | None = None
) -> AsyncIterator[tuple[SaveProcess, int]]:
    """A process that takes images, and its id."""
    before = set(children(os.getpid()))
    process = SaveProcess(images, cancel or CancelEvent())
    assert process.save_all(foxes(1)) is None
    process.start()
    ready = None
    while ready is None:
        ready = process.save_all([])
        await asyncio.sleep(0.01)
    assert await ready == []
    (pid,) = set(children(os.getpid())) - before
    try:
        yield process, pid
    finally:
        await process.close()
        assert pid not in children(os.getpid())


async def saved(process: SaveProcess, orders: Sequence[ToSave]) -> list[Saved]:
    """What came of a batch that it takes."""
    answer = process.save_all(orders)
    assert answer is not None
    return await answer


def test_it_saves_what_threads_save(tmp_path: Path) -> None:
    orders = [
        *(order(number, picture(f"fox {number}")[:50], picture(f"fox {number}")[50:]) for number in range(5)),
        order(5, HTML),
        order(1000, picture("bee")),
        order(6, jpeg_of_scans(1000, 3000)),
        order(0, picture("fox 0")),
        order(7, picture("cat")),
    ]
    folders = [tmp_path / "alone", tmp_path / "process"]
    for folder in folders:
        (folder / "images").mkdir(parents=True)
        (folder / "images/0001").write_bytes(b"in the way")

    async def run() -> list[Saved]:
        async with started(ImageStore(Folder(folders[1]), CHECK)) as (process, _):
            return await saved(process, orders)

    found = asyncio.run(run())
    expected = ImageStore(Folder(folders[0]), CHECK).save_all(orders)
    assert [type(end) for end in found] == [type(end) for end in expected]
    assert {type(end) for end in found} == {SavedImage, NotAnImage, NotADirectoryError, SlowCheck}
    assert [end for end in found if isinstance(end, SavedImage)] == [
        end for end in expected if isinstance(end, SavedImage)
    ]
    assert [str(end) for end in found if isinstance(end, NotAnImage)] == [
        str(end) for end in expected if isinstance(end, NotAnImage)
    ]
    slow = [end.info for ends in (found, expected) for end in ends if isinstance(end, SlowCheck)]
    assert slow[0] == slow[1]
    for end, image in zip(found, orders, strict=True):
        if isinstance(end, SavedImage):
            assert (folders[1] / end.file_name).read_bytes() == b"".join(map(bytes, image.pieces))


def test_it_takes_so_many_batches_and_bytes_and_no_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with started(ImageStore(Folder(tmp_path), CHECK)) as (process, _):
            assert process.save_all([order(1, bytes(SLOT_BYTES + 1))]) is None
            answers = [process.save_all(foxes(3, start=10 * number)) for number in range(SLOTS)]
            assert process.save_all(foxes(1, start=900)) is None
            ends = [end for answer in answers if answer for end in await answer]
            assert len(ends) == 3 * SLOTS and {type(end) for end in ends} == {SavedImage}
            (whole,) = await saved(process, [order(999, bytes(SLOT_BYTES))])
            assert isinstance(whole, NotAnImage)

    asyncio.run(run())
    assert len(list(tmp_path.glob("images/*/*"))) == 3 * SLOTS


def test_it_knows_no_key_and_no_signal_of_the_terminal_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def run() -> None:
        async with started(ImageStore(Folder(tmp_path), CHECK)) as (process, pid):
            assert KEY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
            assert os.getpgid(pid) != os.getpgid(0)
            assert isinstance((await saved(process, foxes(1)))[0], SavedImage)

    asyncio.run(run())


def test_of_a_folder_that_was_moved_the_run_hears(tmp_path: Path) -> None:
    async def run() -> None:
        async with started(ImageStore(Folder(tmp_path), CHECK)) as (process, _):
            await saved(process, foxes(1))
            assert process.moved == ""
            (tmp_path / "images").rename(tmp_path / "elsewhere")
            await saved(process, foxes(1, start=5))
            assert process.moved == "images/0000"

    asyncio.run(run())


def test_where_none_can_be_had_nothing_is_taken(tmp_path: Path) -> None:
    async def run() -> None:
        process = SaveProcess(ImageStore(Folder(tmp_path), Check(10**9, decode=object())), CancelEvent())  # type: ignore[arg-type]
        process.start()
        for _ in range(5):
            await asyncio.sleep(0)
        assert process.save_all(foxes(1)) is None
        await process.close()

    asyncio.run(run())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_what_it_has_not_saved_is_lost_to_it_and_is_told_of(tmp_path: Path, number: signal.Signals) -> None:
    """The run is cut short while the process stands still."""

    async def run() -> None:
        cancel = CancelEvent()
        async with started(ImageStore(Folder(tmp_path), CHECK), cancel) as (process, pid):
            os.kill(pid, number)
            if number == signal.SIGSTOP:
                until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
                answers = [process.save_all(foxes(2)), process.save_all(foxes(2, start=9))]
                assert all(answers)
                cancel.set()
            else:
                answers = [process.save_all(foxes(2))]
            for answer in answers:
                if answer is not None:
                    with pytest.raises(ProcessLost):
                        await answer
            assert process.save_all(foxes(1)) is None
            await asyncio.to_thread(until, lambda: pid not in children(os.getpid()))

    asyncio.run(run())


async def many(queue: SaveQueue, count: int, start: int) -> list[SavedImage]:
    """So many images, saved."""
    return await asyncio.gather(*(queue.save(image) for image in foxes(count, start)))


def test_a_queue_has_it_once_a_run_is_long_and_saves_go_on_when_it_dies(tmp_path: Path) -> None:
    async def run() -> list[SavedImage]:
        before = set(children(os.getpid()))
        queue = SaveQueue(ImageStore(Folder(tmp_path), CHECK), CancelEvent())
        found = await many(queue, SHORT_RUN, 0)
        assert set(children(os.getpid())) == before
        while not (pids := set(children(os.getpid())) - before):
            found += await many(queue, 60, len(found))
        for _ in range(20):
            found += await many(queue, 100, len(found))
        (pid,) = pids
        rest = asyncio.create_task(many(queue, 300, len(found)))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        found += await rest
        await asyncio.to_thread(until, lambda: set(children(os.getpid())) == before)
        found += await many(queue, 100, len(found))
        await queue.close()
        return found

    found = asyncio.run(run())
    names = [image.file_name for image in found]
    assert len(set(names)) == len(names)
    assert all((tmp_path / name).stat().st_size for name in names)
