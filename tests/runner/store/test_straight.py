"""Writing past the page cache: the same bytes, whatever their pieces, and wherever it is not to be had."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import itertools
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.artifacts import direct_io
from runner.artifacts.direct_io import LEAST_BYTES

BLOCK = 4096
DATA = os.urandom(5 * 2**20)
SIZES = (
    *(0, 1, BLOCK, LEAST_BYTES - 1, LEAST_BYTES, LEAST_BYTES + 1, LEAST_BYTES + BLOCK),
    *(2**22 - 1, 2**22, 2**22 + 1, 2**22 + LEAST_BYTES + 7),
)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """A new file, open for writing."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def content(descriptor: int) -> bytes:
    """Everything in the file."""
    return os.pread(descriptor, len(DATA) + 1, 0)


def resident_blocks(descriptor: int) -> int:
    """How many of the file's pages are in the page cache."""
    size = os.fstat(descriptor).st_size
    pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
    with mmap.mmap(descriptor, size) as mapped:
        place = (ctypes.c_char * size).from_buffer(mapped)
        seen = (ctypes.c_ubyte * pages)()
        code = ctypes.CDLL(None, use_errno=True).mincore(ctypes.byref(place), ctypes.c_size_t(size), seen)
        del place
    assert code == 0, os.strerror(ctypes.get_errno())
    return sum(each & 1 for each in seen)


def takes_it(descriptor: int) -> bool:
    """Whether the file system can write past the page cache, and says so by leaving nothing in it."""
    with mmap.mmap(-1, LEAST_BYTES) as memory:
        try:
            with direct_io._straight(descriptor):
                os.write(descriptor, memory)
        except OSError:
            return False
    blocks = resident_blocks(descriptor)
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return blocks == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [192 * 1024, 2**22, len(DATA)])
def test_every_byte_is_written_once_and_in_order(file: int, size: int, piece: int) -> None:
    pieces = [DATA[at : min(at + piece, size)] for at in range(0, size, piece)]
    assert direct_io.write(file, iter(pieces)) == size
    assert content(file) == DATA[:size]


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, LEAST_BYTES + 3 * BLOCK), max_size=8))
def test_pieces_of_any_length(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), LEAST_BYTES + 3 * BLOCK]
    pieces = [memoryview(DATA)[start:end] for start, end in itertools.pairwise(ends)]
    path = tmp_path_factory.mktemp("pieces") / "file"
    with path.open("wb", buffering=0) as opened:
        assert direct_io.write(opened.fileno(), pieces) == ends[-1]
    assert path.read_bytes() == DATA[: ends[-1]]


@pytest.mark.parametrize("pieces", [(DATA,), (DATA[:100_001], DATA[100_001:])], ids=["one", "several"])
def test_a_large_file_leaves_only_its_end_in_the_page_cache(file: int, pieces: Sequence[bytes]) -> None:
    if not takes_it(file):
        pytest.skip("this file system writes nothing past the page cache")
    whole = (*pieces, b"the end")
    assert direct_io.write(file, whole) == len(DATA) + 7
    assert resident_blocks(file) == 1
    assert fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT == 0


def test_memory_on_a_page_boundary_is_written_where_it_is(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not takes_it(file):
        pytest.skip("this file system writes nothing past the page cache")
    copied = []

    class Seen(direct_io._Aligned):
        def filled(self, pieces: Iterator[memoryview], left: memoryview) -> tuple[memoryview, memoryview]:
            full, left = super().filled(pieces, left)
            copied.append(len(full))
            return full, left

    monkeypatch.setattr(direct_io, "_aligned", Seen())
    memory = mmap.mmap(-1, LEAST_BYTES)
    memory[:] = DATA[:LEAST_BYTES]
    direct_io.write(file, (memoryview(memory), b"the end"))
    assert content(file) == DATA[:LEAST_BYTES] + b"the end"
    assert sum(copied) == len("the end")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_without_it(file: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_descriptor: int, command: int, *_: object) -> int:
        if command == fcntl.F_SETFL:
            raise OSError(number, "not here")
        return 0

    monkeypatch.setattr(
        direct_io, "fcntl", type("Fcntl", (), {**vars(fcntl), "fcntl": staticmethod(refuses)})
    )
    assert direct_io.write(file, (DATA[:1_000_000], DATA[1_000_000:])) == len(DATA)
    assert content(file) == DATA


def test_a_system_without_it(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_io, "_O_DIRECT", 0)
    assert direct_io.write(file, (DATA,)) == len(DATA)
    assert content(file) == DATA


def test_what_else_the_disk_says_is_told(file: int, tmp_path: Path) -> None:
    reading = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            direct_io.write(reading, (DATA,))
    finally:
        os.close(reading)


def test_threads_have_memory_of_their_own(tmp_path: Path) -> None:
    def save(number: int) -> None:
        with (tmp_path / str(number)).open("wb", buffering=0) as opened:
            direct_io.write(opened.fileno(), [DATA[number::8][:300_000], DATA[number::8][300_000:]])

    threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((tmp_path / str(number)).read_bytes() == DATA[number::8] for number in range(8))


def test_a_forked_process_has_memory_of_its_own(tmp_path: Path) -> None:
    mine, other = b"m" * LEAST_BYTES, b"o" * LEAST_BYTES
    with (tmp_path / "mine").open("wb", buffering=0) as opened:
        direct_io.write(opened.fileno(), (mine[:9], mine[9:]))
    child = os.fork()
    if not child:
        with (tmp_path / "other").open("wb", buffering=0) as opened:
            direct_io.write(opened.fileno(), (other[:9], other[9:]))
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    assert (tmp_path / "other").read_bytes() == other
    assert bytes(direct_io._aligned.memory[:LEAST_BYTES]) == mine


def test_a_small_file_is_written_as_usual(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_io, "_aligned", None)
    monkeypatch.setattr(direct_io, "_blocks", None)
    assert direct_io.write(file, (DATA[:100], b"", DATA[100 : LEAST_BYTES - 1])) == LEAST_BYTES - 1
    assert content(file) == DATA[: LEAST_BYTES - 1]
    assert direct_io.write(file, ()) == 0
