"""The process that saves images: the same files as threads leave, whatever becomes of it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, cast

import pytest
from PIL import Image

from runner.artifacts.atomic_files import Folder
from runner.artifacts.direct_io import Buffer
from runner.artifacts.image_store import Asked, ImageStore, Label, NotAnImage
from runner.artifacts.worker_pool import QUEUED, SHORT_RUN, Gone, SavingProcess
from runner.engine.durable_io import SAVING_THREADS, Persistence
from runner.engine.shutdown import Ending
from runner.workspace.reserve import Ballast
from schemas.outcome import SavedImage
from schemas.output_folder import TEMPORARY
from tests.canary import WITH_CANARY
from tests.commandline import CommandLine
from tests.faults.pictures import picture
from tests.servedjob import ServedJob, last_object, served_job
from tests.waiting import until

P = ParamSpec("P")
ASKED = Asked("png", "64x64")
CAP = 50_000_000
ROWS = 1500
SAVES = 300
"""More than it has done by the time it is killed."""


def in_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run the test in an event loop of its own."""

    @wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def children() -> list[int]:
    """Of the thread that asks."""
    return [
        int(pid)
        for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if is_saver(int(pid))
    ]


def is_saver(pid: int) -> bool:
    try:
        return b"runner.artifacts.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def queue(process: SavingProcess) -> None:
    """Have it seen that saves queue."""
    with ExitStack() as stack:
        for _ in range(QUEUED + 1):
            assert children() == []
            stack.enter_context(process.elsewhere())


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[SavingProcess]:
    async with SavingProcess(ImageStore(Folder(folder), CAP), lambda: SHORT_RUN + 1) as process:
        queue(process)
        await ready(process)
        yield process


async def ready(process: SavingProcess) -> None:
    """Wait until it takes images."""
    while not process.takes((b"",)):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)


@in_a_loop
async def test_it_saves_as_a_thread_does(tmp_path: Path) -> None:
    pictures = [picture(f"fox {number}", size=(64, 64 + number % 3)) for number in range(60)]
    labels = [Label(number, 0, f"fox-{number}") for number in range(60)]
    store = ImageStore(Folder(tmp_path / "threads"), CAP)
    async with started(tmp_path / "process") as process:
        saves = [
            process.save((data[:9], data[9:700], data[700:]), ASKED, label)
            for data, label in zip(pictures, labels, strict=True)
        ]
        found = await asyncio.gather(*saves)
    assert found == [store.save((data,), ASKED, label) for data, label in zip(pictures, labels, strict=True)]
    for image, data in zip(found, pictures, strict=True):
        assert (tmp_path / "process" / image.file_name).read_bytes() == data
    assert children() == []


@in_a_loop
async def test_what_it_cannot_save_it_tells(tmp_path: Path) -> None:
    async with started(tmp_path) as process:
        with pytest.raises(NotAnImage, match="the bytes are no PNG"):
            await process.save((b"<html>" * 10,), ASKED, Label(1, 0, "x"))
        with pytest.raises(NotAnImage, match="cut or altered"):
            await process.save((picture("fox")[:-20],), ASKED, Label(2, 0, "x"))
        (tmp_path / "images").write_bytes(b"in the way")
        with pytest.raises(OSError, match="images"):
            await process.save((picture("fox"),), ASKED, Label(3, 0, "x"))
        (tmp_path / "images").unlink()
        saved = await process.save((picture("fox"),), ASKED, Label(4, 0, "x"))
        assert (tmp_path / saved.file_name).read_bytes() == picture("fox")


@in_a_loop
async def test_an_image_that_is_too_large_for_it_is_not_taken(tmp_path: Path) -> None:
    async with started(tmp_path) as process:
        assert process.takes((b"x" * 2**24,))
        assert not process.takes((b"x" * 2**24, b"x"))


def noise(side: int) -> bytes:
    """A PNG that is about as large as its pixels."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side**2)).save(stream, "png")
    return stream.getvalue()


@in_a_loop
async def test_more_images_of_all_sizes_than_there_is_room_for(tmp_path: Path) -> None:
    kinds = [noise(side) for side in (1100, 16, 150, 210, 700)]
    async with started(tmp_path) as process:
        saves = [
            process.save((data[:5], data[5:]), Asked("png", None), Label(number, 0, "x"))
            for number, data in enumerate(kinds * 40)
        ]
        found = await asyncio.gather(*saves)
    for image, data in zip(found, kinds * 40, strict=True):
        assert (tmp_path / image.file_name).read_bytes() == data


@in_a_loop
async def test_images_that_wait_for_a_thread_change_over_to_it(tmp_path: Path) -> None:
    store, threads, blocked = ImageStore(Folder(tmp_path), CAP), Counter[int](), threading.Event()

    class Seen(ImageStore):
        def save(self, pieces: Sequence[Buffer], asked: Asked, label: Label) -> SavedImage:
            threads[label.attempt] += 1
            blocked.wait(30)
            return super().save(pieces, asked, label)

    writer, ending = cast(Any, None), Ending()
    with ThreadPoolExecutor(2) as pool, Ballast(store.folder) as ballast:
        async with SavingProcess(store, lambda: SHORT_RUN + 1) as process:
            seen = Seen(store.folder, CAP)
            persistence = Persistence(seen, process, pool, writer, ending, ballast)
            saves = []
            for number in range(3 * QUEUED):
                save = persistence.image((picture("fox"),), ASKED, Label(number, 0, "x"))
                saves.append(asyncio.create_task(save))
            await ready(process)
            blocked.set()
            found = await asyncio.gather(*saves)
    assert len({image.file_name for image in found}) == len(saves)
    assert sorted(threads) == list(range(2 * SAVING_THREADS))


@pytest.mark.parametrize("after", [0, 1, 7])
@in_a_loop
async def test_when_it_is_killed_others_save_what_it_did_not(tmp_path: Path, after: int) -> None:
    store = ImageStore(Folder(tmp_path), CAP)
    data = picture("fox")
    async with started(tmp_path) as process:
        saves = [process.save((data,), ASKED, Label(number, 0, "x")) for number in range(SAVES)]
        for save in saves[:after]:
            await save
        os.kill(children()[0], signal.SIGKILL)
        ends = await asyncio.gather(*saves, return_exceptions=True)
        assert not process.takes((data,))
        gone = [number for number, end in enumerate(ends) if isinstance(end, Gone)]
        assert gone
        names = [store.save((data,), ASKED, Label(number, 0, "x")).file_name for number in gone]
        saved = [end.file_name for end in ends if not isinstance(end, BaseException)]
    assert sorted(path.name for path in tmp_path.glob("images/*/*")) == sorted(
        name.rpartition("/")[2] for name in (*names, *saved)
    )
    assert len({*names, *saved}) == SAVES


@in_a_loop
async def test_signals_do_not_end_it(tmp_path: Path) -> None:
    async with started(tmp_path) as process:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(children()[0], number)
        assert (await process.save((picture("fox"),), ASKED, Label(1, 0, "x"))).width == 64


@in_a_loop
async def test_where_it_cannot_be_had_nothing_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))
    async with SavingProcess(ImageStore(Folder(tmp_path), CAP), lambda: SHORT_RUN + 1) as process:
        queue(process)
        assert not process.takes((b"",))
    assert children() == []


@in_a_loop
async def test_it_is_started_once_the_run_is_known_to_be_long(tmp_path: Path) -> None:
    known = SHORT_RUN
    async with SavingProcess(ImageStore(Folder(tmp_path), CAP), lambda: known) as process:
        queue(process)
        assert children() == []
        known += 1
        queue(process)
        await ready(process)
    assert children() == []


@in_a_loop
async def test_the_next_run_waits_for_the_end_of_a_dead_runs_process(tmp_path: Path) -> None:
    async with started(tmp_path):
        waiting = asyncio.create_task(asyncio.to_thread(Folder(tmp_path).clear_temporary))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        os.kill(children()[0], signal.SIGKILL)
        assert await waiting == 0


def savers(parent: int) -> list[int]:
    try:
        found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:  # it has ended
        return []
    return [int(pid) for pid in found if is_saver(int(pid))]


def start(job: ServedJob) -> tuple[subprocess.Popen[str], list[int]]:
    """A run whose saves have queued, and its saving process: it was stopped until all in flight had been answered."""
    process = job.start("--concurrency", "200")
    job.reach(400)
    process.send_signal(signal.SIGSTOP)
    job.fall_silent()
    process.send_signal(signal.SIGCONT)
    until(lambda: process.poll() is not None or bool(savers(process.pid)))
    pids = savers(process.pid)
    assert pids
    return process, pids


def test_a_quick_service_gets_the_process_and_every_image_is_bought_once(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=ROWS) as job:
        process, pids = start(job)
        assert WITH_CANARY.keys().isdisjoint(
            line.partition(b"=")[0].decode()
            for line in Path(f"/proc/{pids[0]}/environ").read_bytes().split(b"\0")
        )
        assert last_object(process)["exit_code"] == process.returncode == 0
        assert not any(map(is_saver, pids))
        assert job.is_bought_once()


@pytest.mark.parametrize("images", [0, 700])
def test_a_kill_takes_the_process_along_and_the_next_run_goes_on(command: CommandLine, images: int) -> None:
    with served_job(command, "--latency", "0", rows=ROWS) as job:
        process, pids = start(job)
        until(lambda: len(list((command.cwd / job.out).glob("images/*/*"))) >= images)
        process.kill()
        process.wait()
        until(lambda: not any(map(is_saver, pids)))
        again = job.run("--concurrency", "200")
        assert again.code in (0, 3)
        statuses = job.statuses()
        assert statuses["succeeded"] + statuses["parked"] == ROWS
        assert set(job.sent().values()) == {1}
        assert statuses["parked"] == again.json["maybe_billed"]
        assert command("verify", job.out).code == 0


def test_a_short_run_does_without(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=100) as job:
        process = job.start("--concurrency", "100")
        seen = 0
        while process.poll() is None:
            seen += len(savers(process.pid))
        assert (last_object(process)["exit_code"], seen) == (0, 0)


def test_when_the_process_is_killed_the_run_goes_on(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=ROWS) as job:
        process, pids = start(job)
        os.kill(pids[0], signal.SIGKILL)
        assert last_object(process)["exit_code"] == process.returncode == 0
        assert job.is_bought_once()
        assert list((command.cwd / job.out / TEMPORARY).iterdir()) == []
