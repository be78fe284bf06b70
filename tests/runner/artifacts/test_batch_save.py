"""Several files saved together: each whole or absent, none harmed by what stands in another's way."""

from __future__ import annotations

import errno
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.artifacts.batch_save import save_all
from runner.artifacts.image_store import ImageStore, ToSave
from schemas.artifacts import Check, Label, NotAnImage, RequestedFormat
from schemas.output_folder import TEMPORARY
from tests.attacks.crash import tracing
from tests.attacks.faults.pictures import picture
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine

CHECK = Check(10**8)
NAMES = [f"images/000{number % 2}/fox-{number}-0.png" for number in range(6)]
SAVE_SIX = f"""
from pathlib import Path
from runner.artifacts.atomic_files import Folder
from runner.artifacts.batch_save import save_all
assert save_all(Folder(Path("out")), [(name, (b"some", b"bytes")) for name in {NAMES}]) == [None] * 6
"""
_SYNCS = ("fsync", "fdatasync")


def files(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def largest_file() -> Iterator[int]:
    """For the test, the system refuses to let a file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**24, before[1]))
    yield 2**24
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_each_is_synced_before_it_is_renamed_and_the_folders_after_all(tmp_path: Path) -> None:
    if (reason := tracing.unavailable()) is not None:
        pytest.skip(reason)
    command, log = CommandLine(tmp_path), tmp_path / "calls"
    environ = command.environ(**WITH_CANARY)
    assert tracing.record([sys.executable, "-c", SAVE_SIX], cwd=tmp_path, environ=environ, log=log) == 0
    ops = tracing.read(log, tmp_path)
    log.unlink()
    out = f"{tmp_path}/out"
    temporary = {name: f"{out}/{TEMPORARY}/{name.rpartition('/')[2]}" for name in NAMES}

    def calls(names: tuple[str, ...], path: str) -> list[int]:
        return [
            number
            for number, op in enumerate(ops)
            if op.call in names and any(each.startswith(path) for each in op.paths)
        ]

    renames = [calls(("rename", "renameat", "renameat2"), path) for path in temporary.values()]
    assert all(len(each) == 1 for each in renames)
    for path in temporary.values():
        (written, *_), (synced,) = calls(("write",), path), calls(_SYNCS, path)
        assert written < synced < min(renames)[0]
    for folder in ("images/0000", "images/0001"):
        (*_, last) = calls(_SYNCS, f"{out}/{folder}")
        assert last > max(renames)[0]
    assert len([number for number in calls(_SYNCS, f"{out}/images/") if number > min(renames)[0]]) == 2


def test_what_stands_in_the_way_of_one_is_told_and_the_others_are_saved(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.save(NAMES[1], (b"somebody else's",))
    folder.save("images/0002", (b"no folder",))
    wanted = [(name, (name.encode(),)) for name in (*NAMES[:3], "images/0002/x.png", "y.png")]
    problems = save_all(folder, wanted)
    assert [type(problem) for problem in problems] == [
        type(None),
        FileExistsError,
        type(None),
        NotADirectoryError,
        type(None),
    ]
    assert files(tmp_path) == {
        NAMES[0]: NAMES[0].encode(),
        NAMES[1]: b"somebody else's",
        NAMES[2]: NAMES[2].encode(),
        "images/0002": b"no folder",
        "y.png": b"y.png",
    }


def test_nothing_is_left_of_a_file_that_the_disk_refuses_half_way(tmp_path: Path, largest_file: int) -> None:
    folder = Folder(tmp_path)
    wanted = [(name, (bytes(largest_file + 1 if name == NAMES[2] else 9),)) for name in NAMES]
    problems = save_all(folder, wanted)
    assert [problem and problem.errno for problem in problems] == [None, None, errno.EFBIG, None, None, None]
    assert files(tmp_path) == {name: bytes(9) for name in NAMES if name != NAMES[2]}
    assert folder.save(NAMES[2], (b"x",)) == 1


def test_images_come_to_the_same_together_as_alone(tmp_path: Path) -> None:
    asked = RequestedFormat(None, None)
    orders = [
        ToSave((picture("fox"),), asked, Label(1, 0, "fox")),
        ToSave((b"<html>",), asked, Label(2, 0, "no-fox")),
        ToSave((picture("bee", form="JPEG"),), asked, Label(3, 0, "bee")),
        ToSave((picture("cat")[:9], picture("cat")[9:]), asked, Label(4, 0, "cat")),
    ]
    alone, together = ImageStore(Folder(tmp_path / "a"), CHECK), ImageStore(Folder(tmp_path / "b"), CHECK)
    together.folder.save(
        "images/0000/cat-4-0.png", (picture("cat"),)
    )  # a run was killed before it recorded it
    ends = together.save_all(orders)
    assert isinstance(ends[1], NotAnImage)
    del orders[1], ends[1]
    assert ends == [alone.save(order) for order in orders]
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_an_image_in_whose_way_somebody_elses_file_stands_gets_a_name_like_it(tmp_path: Path) -> None:
    store = ImageStore(Folder(tmp_path), CHECK)
    store.folder.save("images/0000/x-1-0.png", (b"somebody else's",))
    first, second = store.save_all(
        [
            ToSave((picture(text),), RequestedFormat(None, None), Label(number, 0, "x"))
            for number, text in enumerate("ab", 1)
        ]
    )
    assert not isinstance(first, Exception) and not isinstance(second, Exception)
    assert first.file_name.startswith("images/0000/x-1-0-")
    assert second.file_name == "images/0000/x-2-0.png"
    assert (tmp_path / "images/0000/x-1-0.png").read_bytes() == b"somebody else's"
    assert (tmp_path / first.file_name).read_bytes() == picture("a")


def test_an_image_that_cannot_be_saved_is_told_beside_those_that_can(tmp_path: Path) -> None:
    store = ImageStore(Folder(tmp_path), CHECK)
    store.folder.save("images/0001", (b"no folder",))
    refused, saved = store.save_all(
        [
            ToSave((picture("fox"),), RequestedFormat(None, None), Label(number, 0, "x"))
            for number in (1000, 1)
        ]
    )
    assert isinstance(refused, NotADirectoryError)
    assert not isinstance(saved, Exception)
    assert (tmp_path / saved.file_name).read_bytes() == picture("fox")
