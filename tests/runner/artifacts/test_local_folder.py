"""Artifacts in a folder: what a store of any kind promises the engine, and its readers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import pytest

from runner.artifacts.artifact_reader import LinkInPlace, LocalReader
from runner.artifacts.atomic_files import Folder
from runner.artifacts.local_folder import Free, LocalFolder
from runner.engine.ports import StoreRefused
from runner.engine.shutdown import CancelEvent
from schemas.artifacts import Check, Label, NotAnImage, RequestedFormat
from schemas.outcome import KeptBody
from tests.attacks.faults.pictures import HTML, picture
from tests.support.flaky import FlakyFolder

T = TypeVar("T")
ASKED = RequestedFormat("png", "64x48")
CHECK = Check(50_000_000)
LABEL = Label(7, 0, "fox")


def within(folder: Folder, work: Callable[[LocalFolder], Awaitable[T]]) -> T:
    """Do something with the store of a folder, in an event loop."""

    async def run() -> T:
        async with LocalFolder(folder, CHECK, CancelEvent()) as store:
            return await work(store)

    return asyncio.run(run())


def test_a_saved_image_is_there_under_its_name(tmp_path: Path) -> None:
    data = picture("fox")
    saved = within(Folder(tmp_path), lambda store: store.save_image((data[:9], data[9:]), ASKED, LABEL))
    reader = LocalReader(tmp_path)
    with reader.open(saved.file_name) as file:
        assert file.read() == data
    assert saved.sha256 == reader.digest(saved.file_name) == hashlib.sha256(data).hexdigest()
    assert (saved.index, saved.bytes, saved.flags) == (0, len(data), ())


def test_what_is_no_image_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotAnImage):
        within(Folder(tmp_path), lambda store: store.save_image((HTML,), ASKED, LABEL))
    assert list(LocalReader(tmp_path).list("images")) == []


def test_a_store_that_refuses_takes_the_same_later(tmp_path: Path) -> None:
    async def work(store: LocalFolder) -> list[str]:
        with pytest.raises(StoreRefused, match="No space left"):
            await store.save_image((picture("fox"),), ASKED, LABEL)
        with pytest.raises(StoreRefused, match="No space left"):
            await store.quarantine(LABEL, iter((b"a", b"b")))
        assert list(LocalReader(tmp_path).list(".")) == []
        image = await store.save_image((picture("fox"),), ASKED, LABEL)
        body = await store.quarantine(LABEL, iter((b"a", b"b")))
        return [image.file_name, body.file_name]

    names = within(FlakyFolder(tmp_path, refusals=2), work)
    assert names == ["images/0000/fox-7-0.png", "quarantine/fox-7.body"]
    assert list(LocalReader(tmp_path).list(".")) == names


def test_a_quarantined_body_is_verbatim_private_and_once(tmp_path: Path) -> None:
    async def work(store: LocalFolder) -> KeptBody:
        return await store.quarantine(LABEL, (b"a", b"b"))

    digest = hashlib.sha256(b"ab").hexdigest()
    for _ in range(2):
        assert within(Folder(tmp_path), work) == KeptBody("quarantine/fox-7.body", 2, digest)
    kept = tmp_path / "quarantine" / "fox-7.body"
    assert kept.read_bytes() == b"ab"
    assert kept.stat().st_mode & 0o777 == 0o600
    other = within(Folder(tmp_path), lambda store: store.quarantine(LABEL, (b"other",)))
    assert other.file_name != "quarantine/fox-7.body"
    assert (tmp_path / other.file_name).read_bytes() == b"other"


def test_a_disk_with_room_says_nothing_and_one_without_says_how_much_is_wanted(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    too_many = stat.f_bavail * stat.f_frsize // (4 * 2**20) + 1

    async def room(store: LocalFolder, in_flight: int) -> str | None:
        return store.room_for(in_flight)

    assert within(Folder(tmp_path), lambda store: room(store, 0)) is None
    assert "the disk is nearly full" in (within(Folder(tmp_path), lambda store: room(store, too_many)) or "")


def test_room_is_judged_again_for_each_request_though_the_disk_is_seldom_looked_at(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    too_many = stat.f_bavail * stat.f_frsize // (4 * 2**20) + 1

    async def rooms(store: LocalFolder) -> list[bool]:
        return [store.room_for(in_flight) is None for in_flight in (0, too_many, 0)]

    assert within(Folder(tmp_path), rooms) == [True, False, True]


@pytest.mark.parametrize(
    ("free", "told"),
    [
        (Free(100, None), None),
        (Free(100, 10), None),
        (Free(99, None), "nearly full"),
        (Free(-5, None), "nearly full: 0 MiB free"),
        (Free(10**9, 9), "room for 9 more files (df -i) where 10 are needed"),
        (Free(10**9, 0), "room for 0 more files"),
    ],
)
def test_a_disk_lacks_bytes_or_files(free: Free, told: str | None) -> None:
    lack = free.lack(100, 10)
    assert lack is None if told is None else told in (lack or "")


def test_what_was_saved_since_the_last_look_is_gone() -> None:
    assert Free(100, 10).less(30) == Free(70, 9)
    assert Free(100, None).less(30) == Free(70, None)


def test_a_folder_that_was_moved_away_stops_the_sending(tmp_path: Path) -> None:
    async def work(store: LocalFolder) -> str | None:
        await store.save_image((picture("fox"),), ASKED, LABEL)
        assert store.room_for(0) is None
        (tmp_path / "images").rename(tmp_path / "away")
        await store.save_image((picture("owl"),), ASKED, Label(8, 0, "owl"))
        return store.room_for(0)

    told = within(Folder(tmp_path), work) or ""
    assert told == f"{tmp_path / 'images/0000'} was moved away or removed while images went there"


def test_room_is_judged_by_the_largest_answer_of_all_its_images(tmp_path: Path) -> None:
    data = picture("fox")
    stat = os.statvfs(tmp_path)
    free = stat.f_bavail * stat.f_frsize

    async def work(store: LocalFolder, images: int) -> str | None:
        for index in range(images):
            await store.save_image((data,), ASKED, Label(1, index, "x"))
        await store.save_image((data,), ASKED, Label(2, 0, "x"))
        return store.room_for(free // (2 * 2 * len(data)))

    assert within(Folder(tmp_path), lambda store: work(store, 3)) is not None
    assert within(Folder(tmp_path), lambda store: work(store, 1)) is None


def test_a_reader_lists_in_order_and_removes_what_it_is_told_to(tmp_path: Path) -> None:
    folder, reader = Folder(tmp_path), LocalReader(tmp_path)
    names = ["images/0000/b.png", "images/0000/c.png", "images/0001/a.png"]
    for name in reversed(names):
        folder.save(name, (b"x",))
    (tmp_path / "images/link").symlink_to(tmp_path / "images/0000", target_is_directory=True)
    assert list(reader.list("images")) == names
    reader.remove([names[0], names[2], names[2]])
    assert list(reader.list("images")) == [names[1]]
    assert list(reader.list("absent")) == []


def test_what_was_removed_stays_removed_after_a_power_cut(tmp_path: Path) -> None:
    """The folder is synced once all its files are gone."""
    Folder(tmp_path).save("images/0000/a.png", (b"x",))
    calls: list[str] = []

    def seen(_frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ in ("unlink", "fsync"):
            calls.append(function.__name__)

    sys.setprofile(seen)
    try:
        LocalReader(tmp_path).remove(["images/0000/a.png"])
    finally:
        sys.setprofile(None)
    assert (calls[0], calls[-1]) == ("unlink", "fsync")


@pytest.mark.parametrize("name", ["absent", "images", "link"])
def test_only_regular_files_can_be_opened(tmp_path: Path, name: str) -> None:
    Folder(tmp_path).save("images/x", (b"x",))
    (tmp_path / "link").symlink_to(tmp_path / "images/x")
    reader = LocalReader(tmp_path)
    for read in (reader.open, reader.digest, reader.size):
        with pytest.raises(LinkInPlace if name == "link" else FileNotFoundError) as error:
            read(name)
        assert isinstance(error.value, LinkInPlace) == (name == "link")


def test_a_reader_measures_what_is_there(tmp_path: Path) -> None:
    Folder(tmp_path).save("images/x", (b"four",))
    os.utime(tmp_path / "images/x", (5.0, 5.0))
    (tmp_path / "images/link").symlink_to(tmp_path / "images/x")
    reader = LocalReader(tmp_path)
    assert (reader.size("images/x"), reader.written_s("images/x")) == (4, 5.0)
    assert reader.written_s("images/link") > 5.0
    assert list(reader.list("images")) == ["images/link", "images/x"]


def test_folders_that_are_links_are_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    Folder(tmp_path).save("images/0000/a.png", (b"x",))
    (tmp_path / "images/0000/link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "quarantine").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    reader = LocalReader(tmp_path)
    assert list(reader.linked_folders("images")) == ["images/0000/link"]
    assert list(reader.linked_folders("quarantine")) == ["quarantine"]
