"""Files that are whole or absent, below OUT and nowhere else, whatever stands in the way."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import resource
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.artifacts.atomic_files import Folder, replace_file, save_unique
from schemas.output_folder import TEMPORARY
from tests.support.flaky import FlakyFolder

NAME = "images/0000/fox-1-0.png"


@pytest.fixture(params=[Folder, FlakyFolder])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """The real folder, and the one for tests that can refuse."""
    made: Folder = request.param(tmp_path / "out")
    return made


def files(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def descriptors(below: Path) -> int:
    """How many of this process's descriptors are open on something below a folder.

    Of all that are open, some may be garbage of earlier tests, which goes at any time.
    """
    opened = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened += link.readlink().is_relative_to(below)
    return opened


@given(st.lists(st.binary(max_size=2000), max_size=6))
def test_a_file_holds_the_pieces_in_order(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    folder = Folder(tmp_path_factory.getbasetemp() / "pieces")
    assert folder.save("x.bin", pieces, replace=True) == sum(map(len, pieces))
    assert files(folder.root) == {"x.bin": b"".join(pieces)}


def test_any_buffer_will_do(folder: Folder) -> None:
    folder.save(NAME, (b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3]))
    assert files(folder.root) == {NAME: b"abcdef"}


def test_a_large_file_is_written_to_its_end(folder: Folder) -> None:
    data = os.urandom(3_000_000)
    assert folder.save(NAME, (data,)) == len(data)
    assert files(folder.root) == {NAME: data}


def resident_bytes(path: Path) -> int:
    """How much of a file is in the page cache, in whole pages."""
    size = path.stat().st_size
    pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
        start = (ctypes.c_char * size).from_buffer(mapped)
        code = ctypes.CDLL(None).mincore(ctypes.byref(start), ctypes.c_size_t(size), pages)
        del start
    assert code == 0
    return sum(page & 1 for page in pages) * mmap.PAGESIZE


def test_a_large_file_leaves_the_page_cache_and_a_small_one_stays(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "probe").write_bytes(bytes(2**20))
    with (tmp_path / "probe").open("r+b") as probe:
        os.fsync(probe.fileno())
        os.posix_fadvise(probe.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident_bytes(tmp_path / "probe"):
        pytest.skip("files of this file system stay in memory")
    folder.save("large.png", (os.urandom(700_000), os.urandom(700_000)))
    folder.save("small.png", (os.urandom(10 * mmap.PAGESIZE),))
    assert resident_bytes(folder.root / "large.png") == 0
    assert resident_bytes(folder.root / "small.png") == 10 * mmap.PAGESIZE


def test_an_existing_file_is_never_replaced_unless_asked(folder: Folder) -> None:
    folder.save(NAME, (b"first",))
    with pytest.raises(FileExistsError):
        folder.save(NAME, (b"second",))
    assert files(folder.root) == {NAME: b"first"}
    folder.save(NAME, (b"third",), replace=True)
    assert files(folder.root) == {NAME: b"third"}


def test_what_a_killed_run_left_is_kept_once_and_what_is_foreign_stays(folder: Folder) -> None:
    pieces = (b"ab", b"", b"cd")
    assert save_unique(folder, NAME, lambda: pieces) == NAME
    assert save_unique(folder, NAME, lambda: pieces) == NAME
    assert files(folder.root) == {NAME: b"abcd"}
    for other in (b"abc", b"abcde", b"abxd"):
        beside = save_unique(folder, NAME, partial(tuple, (other,)))
        assert beside != NAME
        assert files(folder.root)[beside] == other
    (folder.root / "link.png").symlink_to(folder.root / NAME)
    assert save_unique(folder, "link.png", lambda: pieces) != "link.png"
    assert files(folder.root)[NAME] == b"abcd"


class Refusal(Exception):
    """A producer of pieces gives up."""


def pieces_that_fail() -> Iterator[bytes]:
    """Half a file."""
    yield b"half"
    raise Refusal


def test_a_file_that_fails_half_way_leaves_nothing(folder: Folder) -> None:
    opened = []
    for _ in range(2):
        with pytest.raises(Refusal):
            folder.save(NAME, pieces_that_fail())
        opened.append(descriptors(folder.root))
    assert files(folder.root) == {}
    assert opened[0] == opened[1]


def test_a_replacement_that_fails_half_way_leaves_the_old_file(folder: Folder) -> None:
    folder.save("job.toml", (b"old",))
    with pytest.raises(Refusal):
        folder.save("job.toml", pieces_that_fail(), replace=True)
    assert files(folder.root) == {"job.toml": b"old"}


def test_a_disk_that_refuses_leaves_nothing(folder: Folder) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            folder.save(NAME, (b"x" * 20_000,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(folder.root) == {}


def test_a_name_that_cannot_be_taken_leaves_nothing(folder: Folder) -> None:
    (folder.root / "taken").mkdir()
    folder.save(NAME, (b"x",))
    opened = []
    for _ in range(2):
        with pytest.raises(OSError, match=r"taken"):
            folder.save("taken", (b"x",), replace=True)
        with pytest.raises(FileExistsError):
            folder.save("taken", (b"x",))
        with pytest.raises(FileExistsError):
            folder.save(NAME, (b"y",))
        opened.append(descriptors(folder.root))
    assert files(folder.root) == {NAME: b"x"}
    assert opened[0] == opened[1]


@pytest.mark.parametrize("link", ["quarantine", "quarantine/0000", "images/0000"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_planted_link_to_a_folder_is_not_followed(
    folder: Folder, tmp_path: Path, link: str, moment: str
) -> None:
    elsewhere, top = tmp_path / "elsewhere", link.partition("/")[0]
    (elsewhere / "0000").mkdir(parents=True)
    if moment == "after":
        folder.make(f"{top}/0000")
        for path in (f"{top}/0000", top)[: 2 if link == top else 1]:
            (folder.root / path).rmdir()
    (folder.root / link).parent.mkdir(exist_ok=True)
    (folder.root / link).symlink_to(elsewhere, target_is_directory=True)
    opened = []
    for _ in range(2):
        with pytest.raises(OSError) as error:
            folder.save(f"{top}/0000/x.png", (b"x",))
        assert error.value.errno in (errno.ELOOP, errno.ENOTDIR)
        opened.append(descriptors(tmp_path))
    assert files(elsewhere) == {}
    assert files(folder.root / TEMPORARY) == {}
    assert opened[0] == opened[1]


def test_descriptors_of_folders_are_few_and_given_back(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    for number in range(20):
        folder.save(f"images/{number:04d}/x.png", (b"x",))
    assert 1 <= descriptors(tmp_path) <= 4
    del folder
    assert descriptors(tmp_path) == 0


def test_a_planted_link_in_place_of_the_file_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder.make("images/0000")
    (folder.root / NAME).symlink_to(victim)
    with pytest.raises(FileExistsError):
        folder.save(NAME, (b"x",))
    folder.save(NAME, (b"x",), replace=True)
    assert victim.read_bytes() == b"precious"
    assert not (folder.root / NAME).is_symlink()


@pytest.mark.parametrize("kind", [Folder, FlakyFolder])
def test_a_planted_link_in_place_of_the_temporary_folder_is_not_followed(
    kind: type[Folder], tmp_path: Path
) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"x")
    folder = kind(out)
    (out / TEMPORARY).rmdir()
    (out / TEMPORARY).symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(OSError):
        folder.save(NAME, (b"x",))
    with pytest.raises(OSError):
        folder.clear_temporary()
    with pytest.raises(OSError):
        kind(out)
    assert files(elsewhere) == {"precious": b"x"}


def test_a_dangling_link_in_the_way_is_an_error(folder: Folder) -> None:
    (folder.root / "images").symlink_to(folder.root / "nowhere", target_is_directory=True)
    with pytest.raises(OSError):
        folder.save(NAME, (b"x",))


def test_what_a_dead_run_left_unfinished_is_cleared(folder: Folder, tmp_path: Path) -> None:
    folder.save(NAME, (b"x",))
    for name in ("a.0123456789ab", "ballast"):
        (folder.root / TEMPORARY / name).write_bytes(b"unfinished")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (folder.root / TEMPORARY / "link").symlink_to(victim)
    assert folder.clear_temporary() == 2
    assert folder.clear_temporary() == 0
    assert files(folder.root)[NAME] == b"x"
    assert victim.read_bytes() == b"precious"


def test_many_threads_save_into_folders_that_do_not_exist_yet(folder: Folder) -> None:
    names = [f"images/{i % 7:04d}/{i}.png" for i in range(80)]
    threads = [threading.Thread(target=folder.save, args=(name, (name.encode(),))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(folder.root) == {name: name.encode() for name in names}


def test_no_reader_sees_a_part_under_the_final_name(folder: Folder) -> None:
    with folder.writing("results.parquet") as descriptor:
        os.write(descriptor, b"half")
        assert not (folder.root / "results.parquet").exists()
        os.write(descriptor, b" and half")
    assert (folder.root / "results.parquet").read_bytes() == b"half and half"


def test_a_replacement_is_told_of_before_it_is_seen(folder: Folder) -> None:
    folder.save("results.parquet", (b"old",))
    told: list[tuple[str, bytes]] = []

    def before(digest: str) -> None:
        told.append((digest, (folder.root / "results.parquet").read_bytes()))

    def write(stream: IO[bytes]) -> None:
        stream.write(b"new")

    replace_file(folder, "results.parquet", write, before=before)
    assert told == [("11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437", b"old")]
    assert files(folder.root) == {"results.parquet": b"new"}


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError):
        Folder(tmp_path / "file" / "out")
    with pytest.raises(OSError):
        Folder(tmp_path / "file")


def test_a_flaky_folder_refuses_so_often_and_then_saves(tmp_path: Path) -> None:
    folder = FlakyFolder(tmp_path / "out", refusals=2)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            folder.save(NAME, (b"x",))
        assert files(folder.root) == {}
    folder.save(NAME, (b"x",))
    assert files(folder.root) == {NAME: b"x"}
