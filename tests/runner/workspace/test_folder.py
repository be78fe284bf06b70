"""Opening an output folder: everything in order, or a message and an exit code before anything is sent."""

from __future__ import annotations

import gc
import os
import tomllib
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.ledger.reader import connection_of
from runner.process.file_limits import RESERVED_DESCRIPTORS
from runner.workspace import lock
from runner.workspace.folder import open_workspace
from runner.workspace.reserve import DiskReserve
from schemas.errors import ExitCode, JobError
from schemas.failures import RowStatus
from schemas.job import Job
from schemas.output_folder import LEDGER_NAME, TEMPORARY
from tests.attacks.faults.pictures import picture
from tests.support.ledgers import LedgerFolder, rows_of
from tests.support.manifests import prompts, row_stream

JOB = Job.model_validate({"manifest": "prompts.csv", "request": {"size": "auto"}})


def test_a_new_folder_has_a_ledger_a_lock_and_the_job(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with open_workspace(out, JOB) as workspace:
        assert lock.is_held(out)
        assert workspace.settled == 0
        assert (out / LEDGER_NAME).is_file()
        assert tomllib.loads((out / "job.toml").read_text())["request"] == {"size": "auto"}
    assert not lock.is_held(out)


def test_a_folder_that_cannot_be_made_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JobError) as error, open_workspace(tmp_path / "file" / "out", JOB):
        pass
    assert error.value.exit_code is ExitCode.USAGE


def test_a_folder_in_use_is_exit_6_and_left_alone(tmp_path: Path) -> None:
    with open_workspace(tmp_path, JOB):
        (tmp_path / TEMPORARY / "unfinished").write_bytes(b"x")
        with pytest.raises(JobError) as error, open_workspace(tmp_path, JOB):
            pass
        assert error.value.exit_code is ExitCode.LOCKED
        assert (tmp_path / TEMPORARY / "unfinished").exists()


def test_opening_settles_what_dead_runs_left(tmp_path: Path) -> None:
    """One attempt whose image stands is adopted, one without is parked, an unfinished file goes."""
    with LedgerFolder(tmp_path) as dead:
        first, second = rows_of(row_stream(prompts("a", "b")))
        dead.intent(first)
        dead.intent(second)
        dead.folder.save("images/0000/r0-0-0.png", (picture("a"),))
        (tmp_path / TEMPORARY / "half.0123456789ab").write_bytes(picture("b")[:100])
    with open_workspace(tmp_path, JOB) as workspace:
        told = (
            connection_of(workspace.ledger)
            .execute("SELECT attempt, status FROM outcomes ORDER BY attempt")
            .fetchall()
        )
        assert told == [(0, RowStatus.SUCCEEDED.value), (1, RowStatus.PARKED.value)]
        assert workspace.settled == 1
        assert list((tmp_path / TEMPORARY).iterdir()) == []


@pytest.mark.parametrize("damage", [picture("a")[:-1], b"", b"<html>"])
def test_an_image_that_is_not_whole_is_not_adopted(tmp_path: Path, damage: bytes) -> None:
    with LedgerFolder(tmp_path) as dead:
        dead.intent(rows_of(row_stream(prompts("a")))[0])
        dead.folder.save("images/0000/r0-0-0.png", (damage,))
    with open_workspace(tmp_path, JOB) as workspace:
        assert connection_of(workspace.ledger).execute("SELECT status FROM outcomes").fetchall() == [
            ("parked",)
        ]


def test_a_damaged_ledger_is_exit_7(tmp_path: Path) -> None:
    with open_workspace(tmp_path, JOB):
        pass
    (tmp_path / LEDGER_NAME).write_bytes(b"<html>" * 1000)
    with pytest.raises(JobError) as error, open_workspace(tmp_path, JOB):
        pass
    assert error.value.exit_code is ExitCode.DAMAGED
    assert not lock.is_held(tmp_path)


def test_the_ballast_is_space_that_is_given_back(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with DiskReserve(folder) as ballast:
        held = sum(path.stat().st_size for path in (tmp_path / TEMPORARY).iterdir())
        assert held in (0, 32 * 2**20)
        ballast.release()
        assert list((tmp_path / TEMPORARY).iterdir()) == []
        ballast.release()


def test_the_ballast_is_descriptors_that_are_given_back(tmp_path: Path) -> None:
    gc.collect()  # what earlier tests left open goes now, and not in between
    folder, before = Folder(tmp_path), len(os.listdir("/proc/self/fd"))
    with DiskReserve(folder) as ballast:
        assert len(os.listdir("/proc/self/fd")) == before + RESERVED_DESCRIPTORS
        ballast.release()
        assert len(os.listdir("/proc/self/fd")) == before
        ballast.release()
