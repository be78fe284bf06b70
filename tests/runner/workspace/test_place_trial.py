"""What cannot be written is noticed before anything is sent, and named with what to do about it."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.workspace.folder import open_workspace
from runner.workspace.place_trial import check_names, try_places
from schemas.errors import ExitCode, JobError
from schemas.job import Job
from schemas.output_folder import TEMPORARY
from tests.support.rights import ordinary

JOB = Job.model_validate({"manifest": "prompts.csv"})


def tried(out: Path, next_attempt: int = 0) -> None:
    """As a run does it."""
    try_places(Folder(out), next_attempt)


def refusal(out: Path, next_attempt: int = 0) -> JobError:
    """What the trial says."""
    with pytest.raises(JobError) as error, ordinary():
        tried(out, next_attempt)
    return error.value


def test_what_a_killed_trial_left_is_removed_when_the_folder_is_opened(tmp_path: Path) -> None:
    with open_workspace(tmp_path, JOB) as workspace:
        workspace.try_places()
    left = [
        tmp_path / name for name in (".trial", "quarantine/.trial", "images/0000/.trial", "images/a.disk")
    ]
    for path in left:
        path.write_bytes(b"cut")
    with open_workspace(tmp_path, JOB):
        assert [path for path in left if path.exists()] == []


def test_the_folders_are_there_afterwards_and_nothing_else(tmp_path: Path) -> None:
    tried(tmp_path, 1234)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        TEMPORARY,
        "images",
        "images/0001",
        "quarantine",
    ]


def a_file(path: Path) -> None:
    path.write_bytes(b"x")


def a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere", target_is_directory=True)


def a_link_to_a_folder(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to("elsewhere", target_is_directory=True)


def a_folder_of_somebody_else(path: Path) -> None:
    path.mkdir()
    path.chmod(0o555)


@pytest.mark.parametrize(
    ("name", "obstacle", "told", "fix"),
    [
        ("images", a_file, "a file stands there, not a folder", "move away"),
        ("images", a_link_to_nowhere, "a link stands there that leads nowhere", "move away"),
        ("images", a_folder_of_somebody_else, "Permission denied", "chmod"),
        ("images/0001", a_file, "a file stands there, not a folder", "move away"),
        ("images/0001", a_link_to_a_folder, "Not a directory", "move away"),
        ("images/0001", a_folder_of_somebody_else, "Permission denied", "chmod"),
        ("images/0002", a_file, "a file stands there, not a folder", "move away"),
        ("images/0002", a_folder_of_somebody_else, "Permission denied", "chmod"),
        ("images/12345", a_folder_of_somebody_else, "Permission denied", "chmod"),
        ("quarantine", a_file, "Not a directory", "move away"),
        ("quarantine", a_link_to_a_folder, "Not a directory", "move away"),
        ("quarantine", a_folder_of_somebody_else, "Permission denied", "chmod"),
    ],
)
def test_what_stands_in_the_way_or_belongs_to_somebody_else_is_named(
    tmp_path: Path, name: str, obstacle: Callable[[Path], None], told: str, fix: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    obstacle(tmp_path / name)
    error = refusal(tmp_path, 1234)
    assert error.exit_code is ExitCode.USAGE
    assert error.message.startswith(str(tmp_path / name))
    assert error.message.endswith(f" cannot be written: {told}")
    assert fix in error.fix


def test_what_stands_where_no_image_goes_is_nobodys_business(tmp_path: Path) -> None:
    (tmp_path / "images/0000").mkdir(parents=True)
    (tmp_path / "images/0000").chmod(0o555)
    (tmp_path / "images/notes.txt").write_text("x")
    with ordinary():
        tried(tmp_path, 1234)


def test_images_that_are_a_link_to_a_folder_are_tried_there(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "images").symlink_to(elsewhere, target_is_directory=True)
    tried(out)
    assert (elsewhere / "0000").is_dir()
    elsewhere.chmod(0o555)
    shutil.rmtree(elsewhere / "0000")
    assert refusal(out).message == f"{out / 'images/0000'} cannot be written: Permission denied"


@contextmanager
def no_larger_than(size: int) -> Iterator[None]:
    """Files of this process have no more bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_limit_on_the_size_of_files_is_named(tmp_path: Path) -> None:
    with no_larger_than(2**20):
        error = refusal(tmp_path)
    assert (error.exit_code, error.fix) == (ExitCode.LOCAL, "ulimit -f unlimited")
    with no_larger_than(2**26):
        tried(tmp_path)


@pytest.mark.parametrize("name", ["results.parquet", "summary.json", "job.toml", ".lock", "ledger.sqlite"])
def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(JobError) as error, open_workspace(tmp_path, JOB):
        pass
    assert error.value.exit_code is ExitCode.USAGE
    assert error.value.message == f"{tmp_path / name} cannot be written: a folder stands in its place"


def test_a_temporary_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / TEMPORARY).mkdir()
    (tmp_path / TEMPORARY).chmod(0o555)
    with pytest.raises(JobError) as error, ordinary(), open_workspace(tmp_path, JOB):
        pass
    assert (error.value.exit_code, "Permission denied" in error.value.message) == (ExitCode.USAGE, True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / TEMPORARY).write_bytes(b"")
    with pytest.raises(JobError) as error, open_workspace(tmp_path / "other", JOB):
        pass
    assert f"{tmp_path / 'other' / TEMPORARY} cannot be written" in error.value.message


def test_a_path_that_is_too_long_for_the_ledger_is_refused_and_the_longest_that_is_not_works(
    tmp_path: Path,
) -> None:
    def deep(length: int) -> Path:
        path = tmp_path
        while length - len(str(path)) > 102:
            path /= "d" * 100
        return path / ("e" * (length - len(str(path)) - 1))

    longest = 511 - len("-journal") - len("/ledger.sqlite")
    with open_workspace(deep(longest), JOB):
        pass
    with pytest.raises(JobError) as error, open_workspace(deep(longest + 1), JOB):
        pass
    assert (error.value.exit_code, error.value.fix) == (ExitCode.USAGE, "choose a shorter --out")
    assert "too long by 1 bytes" in error.value.message
    (tmp_path / "near").symlink_to(deep(longest + 1), target_is_directory=True)
    with pytest.raises(JobError):
        check_names(tmp_path / "near")
