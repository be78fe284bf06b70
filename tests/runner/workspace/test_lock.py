"""One writer a folder: a second one is refused, and a kill frees the lock."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.workspace import lock
from schemas.errors import ExitCode, JobError

HOLDER = """
import sys, time
from pathlib import Path
from runner.workspace import lock
with lock.folder_lock(Path(sys.argv[1]), wait_s=0):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(out: Path) -> subprocess.Popen[str]:
    """A process that holds the folder's lock until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_is_refused_with_exit_6(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert lock.is_held(tmp_path)
        with pytest.raises(JobError) as error, lock.folder_lock(tmp_path, wait_s=0):
            pass
        assert error.value.exit_code is ExitCode.LOCKED
        assert process.poll() is None
        process.communicate()
    with lock.folder_lock(tmp_path, wait_s=0):
        pass


def test_a_kill_frees_the_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not lock.is_held(tmp_path)
        with lock.folder_lock(tmp_path, wait_s=0):
            pass


def test_a_waiter_gets_the_lock_when_its_holder_ends(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.close()
        with lock.folder_lock(tmp_path, wait_s=60):
            assert process.wait() == 0


def test_a_holder_in_the_same_process_counts_too(tmp_path: Path) -> None:
    with lock.folder_lock(tmp_path, wait_s=0):
        assert lock.is_held(tmp_path)
        with pytest.raises(JobError), lock.folder_lock(tmp_path, wait_s=0):
            pass
        assert lock.is_held(tmp_path)
    assert not lock.is_held(tmp_path)


def test_a_failure_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock.folder_lock(tmp_path, wait_s=0):
        raise ZeroDivisionError
    assert not lock.is_held(tmp_path)


def test_asking_creates_nothing(tmp_path: Path) -> None:
    assert not lock.is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / lock.LOCK_NAME).symlink_to(victim)
    with pytest.raises((JobError, OSError)), lock.folder_lock(out, wait_s=0):
        pass
    assert victim.read_text() == "precious"


def test_a_wait_can_be_cancelled_while_the_holder_goes_on(tmp_path: Path) -> None:
    async def wait() -> None:
        async with lock.wait_for_lock(lambda: lock.folder_lock(tmp_path, wait_s=0), 3600.0):
            pytest.fail("another process holds it")

    async def impatient() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with holder(tmp_path) as process:
        asyncio.run(impatient())
        assert process.poll() is None
        process.communicate()


def test_who_waits_gets_what_the_lock_guards_when_its_holder_ends(tmp_path: Path) -> None:
    async def wait() -> None:
        async with lock.wait_for_lock(lambda: lock.folder_lock(tmp_path, wait_s=0), 60.0):
            assert lock.is_held(tmp_path)

    async def last_resort() -> None:
        async with lock.wait_for_lock(lambda: lock.folder_lock(tmp_path, wait_s=0), 0.0):
            pytest.fail("another process holds it")

    with holder(tmp_path) as process:
        with pytest.raises(JobError) as error:
            asyncio.run(last_resort())
        assert error.value.exit_code is ExitCode.LOCKED
        assert process.stdin is not None
        process.stdin.close()
        asyncio.run(wait())
    assert not lock.is_held(tmp_path)
