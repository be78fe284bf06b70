"""Folders below OUT: with the permissions that the umask allows, on whatever disk, and known again when they are moved."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner.artifacts.atomic_files import Folder, settle
from runner.artifacts.batch_save import save_all
from runner.artifacts.open_folders import OpenFolders
from schemas.output_folder import TEMPORARY

NAME = "images/0000/fox-1-0.png"
OTHER = "images/0000/owl-2-0.png"
BODY = "quarantine/fox-1.body"


@contextmanager
def masked(umask: int) -> Iterator[None]:
    """A process that makes its files with this umask."""
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> str:
    """Permission bits, as `chmod` takes them."""
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


@pytest.mark.parametrize(
    ("umask", "own", "images", "image", "quarantine", "body"),
    [
        (0o022, 0o755, "755", "644", "700", "600"),
        (0o077, 0o700, "700", "600", "700", "600"),
        (0o027, 0o750, "750", "640", "700", "600"),
        (0o002, 0o2775, "2775", "664", "2770", "660"),
        (0o002, 0o775, "775", "664", "770", "660"),
        (0o000, 0o777, "777", "666", "770", "660"),
    ],
)
def test_permissions_are_what_the_umask_allows_and_bodies_are_for_who_may_write_to_the_folder(
    tmp_path: Path, umask: int, own: int, images: str, image: str, quarantine: str, body: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(own)
    with masked(umask):
        folder = Folder(out)
        folder.save(NAME, (b"x",))
        folder.save(BODY, (b"x",), private=True)
        assert save_all(folder, [(OTHER, (b"x",))]) == [None]
    assert [mode(out / name) for name in ("images", "images/0000", TEMPORARY)] == [images] * 3
    assert [mode(out / name) for name in (NAME, OTHER)] == [image] * 2
    assert [mode(out / name) for name in ("quarantine", BODY)] == [quarantine, body]


@pytest.mark.parametrize("gone", ["images/0000", "images"])
def test_a_folder_that_is_gone_is_made_again_and_that_is_noticed(tmp_path: Path, gone: str) -> None:
    folder = Folder(tmp_path / "out")
    folder.save(NAME, (b"x",))
    assert folder.moved == ""
    (folder.root / gone).rename(tmp_path / "away")
    folder.save(OTHER, (b"y",))
    assert save_all(folder, [(f"{NAME}2", (b"z",))]) == [None]
    assert folder.moved == "images/0000"
    assert sorted(path.name for path in (folder.root / "images/0000").iterdir()) == [
        "fox-1-0.png2",
        "owl-2-0.png",
    ]
    assert [path.name for path in (tmp_path / "away").rglob("*.png")] == ["fox-1-0.png"]


def test_a_folder_that_is_moved_while_a_file_is_put_there_is_an_error(tmp_path: Path) -> None:
    """Its file went with it, so it has to be saved again."""
    folder = Folder(tmp_path / "out")
    with folder.writing(NAME) as file:
        os.write(file, b"x")
    target = OpenFolders(folder.root).directory("images/0000")
    (folder.root / "images").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match="moved away"):
        settle(target)


def test_a_folder_that_stays_is_never_taken_for_one_that_was_moved(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    for number in range(12):
        folder.save(f"images/{number % 6:04d}/x-{number}.png", (b"x",))
        folder.save(f"quarantine/x-{number}.body", (b"x",), private=True)
    assert folder.moved == ""


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder from which nothing can be renamed to the tests' own."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    with TemporaryDirectory(dir=memory) as made:
        yield Path(made)


def test_images_may_be_a_link_to_another_disk(tmp_path: Path, other_disk: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "images").symlink_to(other_disk, target_is_directory=True)
    folder = Folder(out)
    folder.save(NAME, (b"x",))
    assert save_all(folder, [(OTHER, (b"y",))]) == [None]
    with pytest.raises(FileExistsError):
        folder.save(NAME, (b"z",))
    assert (other_disk / "0000/fox-1-0.png").read_bytes() == (out / NAME).read_bytes() == b"x"
    assert (out / OTHER).read_bytes() == b"y"
    assert folder.moved == ""
    left = other_disk / TEMPORARY / "fox-1-0.png.0123456789ab"
    left.write_bytes(b"unfinished")
    assert (folder.clear_temporary(), left.exists()) == (1, False)


def test_images_that_move_to_another_disk_while_a_run_goes_on(tmp_path: Path, other_disk: Path) -> None:
    folder = Folder(tmp_path / "out")
    folder.save(NAME, (b"x",))
    (folder.root / "images").rename(tmp_path / "away")
    (folder.root / "images").symlink_to(other_disk, target_is_directory=True)
    with pytest.raises(OSError, match="link"):  # once; then it is known where unfinished files have to be
        folder.save(OTHER, (b"y",))
    folder.save(OTHER, (b"y",))
    assert (other_disk / "0000/owl-2-0.png").read_bytes() == b"y"
    assert folder.moved == "images/0000"


def test_a_link_that_leads_to_the_same_disk_needs_no_second_folder_for_unfinished_files(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (out / "images").symlink_to("../elsewhere", target_is_directory=True)
    Folder(out).save(NAME, (b"x",))
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["0000"]
