"""Images saved by threads, together when they queue: the same files, each told to the one who asked."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import pytest
from PIL import Image

from runner.artifacts.atomic_files import Folder
from runner.artifacts.image_store import ImageStore, Saved, ToSave
from runner.artifacts.save_queue import FEW, MANY_IMAGES, THREADS, SaveQueue
from runner.engine.shutdown import CancelEvent
from schemas.artifacts import Check, Label, NotAnImage, RequestedFormat
from tests.attacks.faults.pictures import HTML, picture
from tests.support.commandline import CommandLine
from tests.support.servedjob import last_object, served_job
from tests.support.waiting import until

P = ParamSpec("P")
ASKED = RequestedFormat("png", "64x64")
CHECK = Check(50_000_000)
ROWS = 600


def in_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run the test in an event loop of its own."""

    @wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*arguments, **named))

    return run


class Halted(ImageStore):
    """Saves nothing until it may, and tells what it was given at a time."""

    def __init__(self, folder: Folder, check: Check) -> None:
        self.may = threading.Event()
        self.batches: list[list[int]] = []

    def save_all(self, orders: Sequence[ToSave]) -> list[Saved]:
        """As the real one, once it may."""
        self.batches.append([order.label.attempt for order in orders])
        assert self.may.wait(30)
        return super().save_all(orders)


def noise(side: int) -> bytes:
    """A PNG that is about as large as its pixels."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side**2)).save(stream, "png")
    return stream.getvalue()


@in_a_loop
async def test_it_saves_as_a_thread_does(tmp_path: Path) -> None:
    pictures = [picture(f"fox {number}", size=(64, 64 + number % 3)) for number in range(60)]
    labels = [Label(number, 0, f"fox-{number}") for number in range(60)]
    store, queue = (
        ImageStore(Folder(tmp_path / "alone"), CHECK),
        SaveQueue(ImageStore(Folder(tmp_path), CHECK), CancelEvent()),
    )
    saves = [
        queue.save(ToSave((data[:9], data[9:700], data[700:]), ASKED, label))
        for data, label in zip(pictures, labels, strict=True)
    ]
    found = await asyncio.gather(*saves)
    await queue.close()
    assert found == [
        store.save(ToSave((data,), ASKED, label)) for data, label in zip(pictures, labels, strict=True)
    ]
    for image, data in zip(found, pictures, strict=True):
        assert (tmp_path / image.file_name).read_bytes() == data


@in_a_loop
async def test_images_of_all_sizes_at_once(tmp_path: Path) -> None:
    kinds = [noise(side) for side in (1100, 16, 150, 210, 700)]
    queue = SaveQueue(ImageStore(Folder(tmp_path), CHECK), CancelEvent())
    saves = [
        queue.save(ToSave((data[:5], data[5:]), RequestedFormat("png", None), Label(number, 0, "x")))
        for number, data in enumerate(kinds * 10)
    ]
    found = await asyncio.gather(*saves)
    await queue.close()
    for image, data in zip(found, kinds * 10, strict=True):
        assert (tmp_path / image.file_name).read_bytes() == data


@in_a_loop
async def test_what_waits_is_saved_together_and_few_wait_for_more(tmp_path: Path) -> None:
    store = Halted(Folder(tmp_path), CHECK)
    queue = SaveQueue(store, CancelEvent())
    saves = [queue.save(ToSave((picture("fox"),), ASKED, Label(number, 0, "x"))) for number in range(FEW)]
    saves += [queue.save(ToSave((picture("fox"),), ASKED, Label(number, 0, "x"))) for number in range(FEW, 9)]
    store.may.set()
    assert len({image.file_name for image in await asyncio.gather(*saves)}) == 9
    await queue.close()
    assert sorted(store.batches) == [*([number] for number in range(FEW)), list(range(FEW, 9))]


@pytest.mark.parametrize("side", [8, 900])
@in_a_loop
async def test_many_are_begun_by_all_threads_and_no_batch_is_too_large(tmp_path: Path, side: int) -> None:
    store, data = Halted(Folder(tmp_path), CHECK), noise(side)
    queue = SaveQueue(store, CancelEvent())
    saves = [
        queue.save(ToSave((data,), RequestedFormat(None, None), Label(number, 0, "x")))
        for number in range(100)
    ]
    await asyncio.to_thread(until, lambda: len(store.batches) == THREADS)
    store.may.set()
    await asyncio.gather(*saves)
    await queue.close()
    assert sorted(number for batch in store.batches for number in batch) == list(range(100))
    most = MANY_IMAGES if side == 8 else 1
    assert max(map(len, store.batches)) == most


@in_a_loop
async def test_each_is_told_what_became_of_its_own(tmp_path: Path) -> None:
    store = Halted(Folder(tmp_path), CHECK)
    queue = SaveQueue(store, CancelEvent())
    (tmp_path / "images").mkdir()
    (tmp_path / "images/0001").write_bytes(b"in the way")
    given = [(picture("fox"), 1), (picture("fox"), 2), (HTML, 3), (picture("fox")[:-20], 4)]
    given += [(picture("bee"), 1000), (picture("cat"), 5)]
    saves = [queue.save(ToSave((data,), ASKED, Label(number, 0, "x"))) for data, number in given]
    store.may.set()
    ends = await asyncio.gather(*saves, return_exceptions=True)
    await queue.close()
    assert [type(end).__name__ for end in ends] == [
        *("SavedImage", "SavedImage", "NotAnImage", "NotAnImage", "NotADirectoryError", "SavedImage")
    ]
    with pytest.raises(NotAnImage, match="no PNG"):
        await saves[2]


@in_a_loop
async def test_what_nobody_waits_for_any_more_is_not_saved_and_the_rest_goes_on(tmp_path: Path) -> None:
    store = Halted(Folder(tmp_path), CHECK)
    queue = SaveQueue(store, CancelEvent())
    saves = [queue.save(ToSave((picture("fox"),), ASKED, Label(number, 0, "x"))) for number in range(FEW + 3)]
    saves[FEW].cancel()
    saves[0].cancel()
    store.may.set()
    await asyncio.wait(saves)
    assert sorted(number for batch in store.batches for number in batch) == [0, 1, FEW + 1, FEW + 2]
    await queue.close()


@in_a_loop
async def test_what_waits_when_it_is_closed_is_not_saved_and_what_hangs_is_left_behind(
    tmp_path: Path,
) -> None:
    store = Halted(Folder(tmp_path), CHECK)
    queue = SaveQueue(store, CancelEvent())
    saves = [queue.save(ToSave((picture("fox"),), ASKED, Label(number, 0, "x"))) for number in range(FEW + 3)]
    await queue.close()
    assert all(save.cancelled() for save in saves[FEW:])
    store.may.set()
    await asyncio.to_thread(until, lambda: len(list(tmp_path.glob("images/*/*"))) == FEW)


@in_a_loop
async def test_a_defect_reaches_all_whose_images_were_in_the_batch(tmp_path: Path) -> None:
    class Broken(ImageStore):
        def save_all(self, orders: Sequence[ToSave]) -> list[Saved]:
            raise ZeroDivisionError

    queue = SaveQueue(Broken(Folder(tmp_path), CHECK), CancelEvent())
    ends = await asyncio.gather(
        *(queue.save(ToSave((b"x",), ASKED, Label(number, 0, "x"))) for number in range(9)),
        return_exceptions=True,
    )
    await queue.close()
    assert {type(end) for end in ends} == {ZeroDivisionError}


def test_a_quick_service_has_every_image_bought_once(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=ROWS) as job:
        process = job.start("--concurrency", "200")
        assert last_object(process)["exit_code"] == process.returncode == 0
        assert job.is_bought_once()


@pytest.mark.parametrize("images", [0, 300])
def test_after_a_kill_among_many_saves_the_next_run_goes_on(command: CommandLine, images: int) -> None:
    with served_job(command, "--latency", "0", rows=ROWS) as job:
        process = job.start("--concurrency", "200")
        job.reach(400)
        until(lambda: len(list((command.cwd / job.out).glob("images/*/*"))) >= images)
        process.kill()
        process.wait()
        again = job.run("--concurrency", "200")
        assert again.code in (0, 3)
        statuses = job.statuses()
        assert statuses["succeeded"] + statuses["parked"] == ROWS
        assert set(job.sent().values()) == {1}
        assert statuses["parked"] == again.json["folder"]["maybe_billed"]
        assert command("verify", job.out).code == 0
