"""A spool file holds whole files only, whatever cuts or alters it, and is a tar archive that anybody can read."""

from __future__ import annotations

import os
import resource
import tarfile
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.artifacts.spool import Spool, is_spool, spool_files, spooled

NOTE = {"attempt": 7, "image": 1, "revised_prompt": "a fox \ud83e in the snow"}


def filled(out: Path, *contents: bytes) -> Path:
    """A spool file with these files."""
    spool = Spool(Folder(out))
    for number, data in enumerate(contents):
        spool.add(7, f"fox-{number}.png", (data[:3], data[3:]), {**NOTE, "image": number})
    spool.close()
    (path,) = spool_files(out)
    return path


def test_what_is_added_can_be_read_by_us_and_by_others(tmp_path: Path) -> None:
    path = filled(tmp_path, b"one", b"", os.urandom(3000))
    assert (path.parent.name, path.name) == ("quarantine", "spool-7.tar")
    assert path.stat().st_mode & 0o077 == 0
    kept = list(spooled(path))
    assert [(each.attempt, each.image, each.size) for each in kept] == [(7, 0, 3), (7, 1, 0), (7, 2, 3000)]
    assert kept[0].read() == b"one"
    assert kept[0].note["revised_prompt"] == NOTE["revised_prompt"]
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["fox-0.png", "fox-1.png", "fox-2.png"]


@pytest.mark.parametrize("left", [0, 300, 700, 1500, 2300])
def test_a_spool_file_that_was_cut_gives_what_is_whole(tmp_path: Path, left: int) -> None:
    path = filled(tmp_path, b"x" * 900, b"y" * 900)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 + left])
    found = [each.read() for each in spooled(path)]
    assert found[:1] == [b"x" * 900]
    assert set(found[1:]) <= {None}


def test_bytes_that_were_altered_are_not_given(tmp_path: Path) -> None:
    path = filled(tmp_path, b"x" * 900)
    (whole,) = spooled(path)
    data = bytearray(path.read_bytes())
    data[whole.offset + 5] ^= 1
    path.write_bytes(bytes(data))
    assert [each.read() for each in spooled(path)] == [None]


@pytest.mark.parametrize("content", [b"", b"<html>" * 400, bytes(4096)])
def test_what_is_no_spool_file_holds_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spool-1.tar").write_bytes(content)
    assert list(spooled(tmp_path / "spool-1.tar")) == []
    assert spool_files(tmp_path) == [tmp_path / "spool-1.tar"]


def test_a_foreign_archive_holds_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with tarfile.open(tmp_path / "spool-1.tar", "w") as archive:
        archive.add(tmp_path / "x", "x")
    assert list(spooled(tmp_path / "spool-1.tar")) == []


def test_a_disk_that_refuses_half_way_leaves_what_was_whole_and_takes_more_later(tmp_path: Path) -> None:
    spool = Spool(Folder(tmp_path))
    spool.add(7, "a.png", (b"a" * 100,), NOTE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            spool.add(8, "b.png", (b"b" * 30_000,), NOTE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    spool.add(9, "c.png", (b"c" * 100,), NOTE)
    spool.close()
    (path,) = spool_files(tmp_path)
    assert [each.read() for each in spooled(path)] == [b"a" * 100, b"c" * 100]


def test_names_that_are_not_of_spool_files(tmp_path: Path) -> None:
    for name in ("spool-.tar", "spool-x.tar", "spool-1.tar.gz", "spool-1", "1.tar", "fox-1.body"):
        assert not is_spool(name)
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine/spool-1.tar").symlink_to(tmp_path / "elsewhere")
    assert spool_files(tmp_path) == []
