"""A machine that refuses: the disk is full, nothing may be written, descriptors run out. Nothing paid for is lost."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.canary import WITH_CANARY, files_with_canary
from tests.support.commandline import CommandLine
from tests.support.servedjob import HANG_S, last_object, served_job
from tests.support.waiting import until

Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts something on a new folder of this name; skips where that is not allowed."""
    mounted: dict[Path, None] = {}

    def made(name: str, *options: str) -> Path:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        mounted[place] = None
        return place

    yield made
    leaking = [files_with_canary(place)[1] for place in mounted]
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    assert not any(leaking)


_LEFT_BYTES = 2**16
"""What somebody who fills a disk leaves, so as not to fail when the run writes at that moment."""


@pytest.fixture
def disk(mount: Mount) -> Callable[[int], Path]:
    """A disk of so many MiB, all of it memory, in the folder `disk`."""
    return lambda size: mount("disk", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs")


def fill(disk: Path, leave: int = 0) -> Path:
    """Take the space that is left, but for so many bytes; remove the file that it returns to give it back."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        for _ in range(100):  # at one stroke: space that a run gives back afterwards is for the run
            free = os.statvfs(disk)
            with suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leave)
                return filler
    pytest.fail("the disk cannot be filled")


@contextmanager
def halted(process: subprocess.Popen[str]) -> Iterator[None]:
    """For the block the process does nothing: it neither meets a disk that is full by halves nor changes what is free."""
    process.send_signal(signal.SIGSTOP)
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    yield
    process.send_signal(signal.SIGCONT)


def test_a_disk_that_fills_up_stops_the_sending_and_what_was_received_lands(
    command: CommandLine, disk: Callable[[int], Path]
) -> None:
    """On a disk that had plenty of space the run has set some aside."""
    place = disk(700)
    with served_job(command, "--latency", "0.4", rows=60, out="disk/out") as job:
        process = job.start("--concurrency", "6")
        job.reach(10)
        with halted(process):
            filler = fill(place, leave=_LEFT_BYTES)
        summary = last_object(process)
        requests = len(job.sent())
        assert (process.returncode, summary["exit_code"]) == (9, 9)
        seen = ("this machine refused", "the disk is nearly full")
        assert any(text in summary["exit_reason"] for text in seen)
        assert summary["by_status"] == {"succeeded": requests, "pending": job.rows - requests}
        assert requests < job.rows
        filler.unlink()
        assert job.run("--concurrency", "30").code == 0
        assert job.is_bought_once()


def test_a_small_disk_that_is_freed_in_time_loses_nothing(
    command: CommandLine, disk: Callable[[int], Path]
) -> None:
    """What was received waits in memory, for as long as the drain allows."""
    place = disk(64)
    with served_job(command, "--latency", "0.4", out="disk/out") as job:
        process = job.start("--concurrency", "4")
        job.reach(6)
        filler = fill(place)
        job.fall_silent()
        assert process.poll() is None
        filler.unlink()
        summary = last_object(process)
        requests = len(job.sent())
        assert (process.returncode, "this machine refused" in summary["exit_reason"]) == (9, True)
        assert summary["by_status"] == {"succeeded": requests, "pending": job.rows - requests}
        assert job.run("--concurrency", "30").code == 0
        assert job.is_bought_once()


def test_a_disk_that_stays_full_parks_what_could_not_be_kept(
    command: CommandLine, disk: Callable[[int], Path]
) -> None:
    """Nothing is bought twice: what was in flight waits for the user's word."""
    place = disk(64)
    with served_job(command, "--latency", "0.4", out="disk/out") as job:
        process = job.start("--concurrency", "4", "--drain", "1s")
        job.reach(6)
        filler = fill(place)
        assert last_object(process)["exit_code"] == process.returncode == 9
        filler.unlink()
        told = command("status", "disk/out", "--json").json
        assert 1 <= told["maybe_billed"] == told["by_status"]["parked"] <= 4
        again = job.run("--concurrency", "30")
        parked = again.json["by_status"].get("parked", 0)
        assert (again.code, 1 <= parked <= 4, again.json["folder"]["maybe_billed"]) == (3, True, parked)
        assert set(job.sent().values()) == {1}
        assert command("retry", "disk/out", "--parked", environ=WITH_CANARY).code == 0
        assert job.statuses() == {"succeeded": job.rows}


def test_files_that_run_out_stop_the_sending_and_what_was_received_is_kept(
    command: CommandLine, mount: Mount
) -> None:
    """The disk has bytes enough: what it lacks is inodes."""
    mount("disk", "-t", "tmpfs", "-o", "size=400m,nr_inodes=70", "tmpfs")
    with served_job(command, "--latency", "0.4", rows=200, out="disk/out") as job:
        ended = job.run("--concurrency", "24")
        requests = len(job.sent())
        assert (ended.code, "more files (df -i)" in ended.json["exit_reason"]) == (9, True)
        assert ended.json["by_status"] == {"succeeded": requests, "pending": job.rows - requests}
        assert 0 < requests < job.rows


def test_files_that_somebody_else_uses_up_leave_what_was_received_in_the_spool_file(
    command: CommandLine, mount: Mount
) -> None:
    place = mount("disk", "-t", "tmpfs", "-o", "size=400m,nr_inodes=2000", "tmpfs")
    with served_job(command, "--latency", "0.6", rows=100, out="disk/out") as job:
        process = job.start("--concurrency", "8", "--drain", "1h")
        job.reach(20)
        with halted(process):
            made = [place / f"other-{number}" for number in range(2000)]
            with suppress(OSError):
                for path in made:
                    path.touch()
        output, _ = process.communicate(timeout=HANG_S)
        assert process.returncode == 9, output
        requests = len(job.sent())
        for path in made:
            path.unlink(missing_ok=True)
        assert job.run("--concurrency", "30").code == 0
        assert job.is_bought_once()
        assert 20 <= requests < job.rows


def test_a_disk_without_room_is_noticed_before_anything_is_sent(
    command: CommandLine, disk: Callable[[int], Path]
) -> None:
    disk(8)
    with served_job(command, "--latency", "0", rows=3, out="disk/out") as job:
        ended = job.run()
        assert (ended.code, job.sent(), job.statuses()) == (9, {}, {"pending": 3})
        assert "the disk is nearly full" in ended.json["exit_reason"]


@pytest.mark.parametrize("descriptors", [12, 16, 20, 22, 24, 26, 28, 40])
def test_too_few_descriptors_end_the_run_and_lose_nothing(command: CommandLine, descriptors: int) -> None:
    with served_job(command, "--latency", "0.3", rows=60) as job:
        ended = job.limited(f"-n {descriptors}", "--concurrency", "50")
        assert ended.code == 9
        assert "Too many open files" in ended.json["exit_reason"]
        assert "Traceback" not in ended.err
        again = job.run("--concurrency", "50")
        assert (again.code, again.json["folder"]["maybe_billed"]) == (0, 0)
        assert job.is_bought_once()


def test_a_soft_limit_of_descriptors_is_raised(command: CommandLine) -> None:
    with served_job(command, "--latency", "0.3", rows=60) as job:
        assert job.limited("-Sn 40", "--concurrency", "50").code == 0


def test_a_file_size_limit_is_no_worse_than_a_full_disk(command: CommandLine) -> None:
    """The ledger is the first file that grows over 64 KiB."""
    with served_job(command, "--latency", "0", rows=60) as job:
        ended = job.limited("-f 128", "--concurrency", "4", "--drain", "1s")
        assert ended.code == 9
        assert "Traceback" not in ended.err
        assert job.run("--concurrency", "30").code in (0, 3)
        assert set(job.sent().values()) == {1}


def test_a_folder_where_nothing_may_be_written_can_be_read(command: CommandLine, mount: Mount) -> None:
    with served_job(command, "--latency", "0", rows=3) as job:
        assert job.run().code == 0
        mount("frozen", "--bind", str(command.cwd / "out"))
        mount("frozen", "-o", "remount,ro,bind")
        for arguments in (("run", "frozen/job.toml"), ("retry", "frozen"), ("verify", "frozen", "--repair")):
            refused = command(*arguments, environ=WITH_CANARY)
            assert (refused.code, "Traceback" in refused.err) == (9, False), arguments
            assert "Read-only file system" in refused.err
        refused = job.run("--out", "frozen/new")
        assert (refused.code, "cannot be written: Read-only file system" in refused.err) == (2, True)
        assert command("status", "frozen", "--json").json["by_status"] == {"succeeded": 3}
        assert command("verify", "frozen", "--json").json["problems"] == []
        assert sum(job.sent().values()) == 3
