"""What every `ArtifactStore` does."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.artifacts.local_folder import LocalFolder
from runner.artifacts.spool import spool_files, spooled
from runner.engine.ports import ArtifactStore, StoreRefused
from runner.engine.shutdown import CancelEvent
from schemas.artifacts import Check, Label, NotAnImage, RequestedFormat, SpoolNote
from schemas.outcome import Reported
from tests.attacks.faults.pictures import picture
from tests.support.fakes import FakeStore
from tests.support.flaky import FlakyFolder

ASKED = RequestedFormat("png", None)
Files = dict[str, bytes]
Use = Callable[[ArtifactStore], Awaitable[None]]


def of_fake(use: Use, _folder: Path, refusals: int) -> Files:
    """What a fake holds."""
    store = FakeStore([], refuses=refusals)

    async def main() -> None:
        await use(store)

    asyncio.run(main())
    return store.files


def of_folder(use: Use, folder: Path, refusals: int) -> Files:
    """What stands in a folder."""
    root = FlakyFolder(folder, refusals=refusals) if refusals else Folder(folder)

    async def main() -> None:
        async with LocalFolder(root, Check(10**6), CancelEvent()) as store:
            await use(store)

    asyncio.run(main())
    kept = (
        path for name in ("images", "quarantine") for path in (folder / name).rglob("*") if path.is_file()
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture(params=[of_fake, of_folder])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Files]:
    """Uses a store and tells what it holds afterwards."""
    return lambda use, refusals=0: request.param(use, tmp_path, refusals)


def test_an_image_is_durable_under_the_name_that_was_returned(kept: Callable[..., Files]) -> None:
    names = []

    async def use(store: ArtifactStore) -> None:
        saved = await store.save_image((picture("fox")[:9], picture("fox")[9:]), ASKED, Label(3, 1, "fox"))
        assert (saved.index, saved.bytes) == (1, len(picture("fox")))
        names.append(saved.file_name)

    assert kept(use) == {names[0]: picture("fox")}


def test_two_images_never_share_a_name(kept: Callable[..., Files]) -> None:
    async def use(store: ArtifactStore) -> None:
        labels = [Label(attempt, index, "fox") for attempt in (0, 1) for index in (0, 1)]
        saves = (store.save_image((picture("fox"),), ASKED, label) for label in labels)
        assert len({saved.file_name for saved in await asyncio.gather(*saves)}) == 4

    assert len(kept(use)) == 4


def test_bytes_that_are_no_image_are_refused_and_leave_nothing(kept: Callable[..., Files]) -> None:
    async def use(store: ArtifactStore) -> None:
        with pytest.raises(NotAnImage):
            await store.save_image((b"bad bytes",), ASKED, Label(0, 0, "fox"))

    assert kept(use) == {}


def test_a_body_is_quarantined_as_it_is(kept: Callable[..., Files]) -> None:
    async def use(store: ArtifactStore) -> None:
        kept = await store.quarantine(Label(7, 0, "fox"), iter((b"half an ", b"answer")))
        assert kept.file_name.startswith("quarantine/")
        digest = hashlib.sha256(b"half an answer").hexdigest()
        assert (kept.bytes, kept.sha256) == (14, digest)

    assert list(kept(use).values()) == [b"half an answer"]


def test_a_store_that_refuses_leaves_nothing_and_takes_it_later(kept: Callable[..., Files]) -> None:
    async def use(store: ArtifactStore) -> None:
        with pytest.raises(StoreRefused):
            await store.quarantine(Label(7, 0, "fox"), (b"answer",))
        kept = await store.quarantine(Label(7, 0, "fox"), (b"answer",))
        assert kept.file_name.startswith("quarantine/")

    assert list(kept(use, refusals=1).values()) == [b"answer"]


def test_what_can_be_spooled_is_an_image_or_a_body(tmp_path: Path) -> None:
    image, body = SpoolNote(Reported(), 200, "a red fox"), SpoolNote(Reported(), 200, is_body=True)

    async def use(store: ArtifactStore) -> None:
        name = await store.spool(Label(7, 0, "fox"), (picture("fox"),), image)
        assert await store.spool(Label(8, 1, "owl"), (picture("owl"),), image) == name
        assert await store.spool(Label(9, 0, "cat"), (b"{", b"}"), body) == name
        assert name.startswith("quarantine/")

    of_fake(use, tmp_path, 0)
    of_folder(use, tmp_path, 0)
    (path,) = spool_files(tmp_path)
    kept = [(each.attempt, each.image, each.read(), each.note["revised_prompt"]) for each in spooled(path)]
    assert kept == [
        (7, 0, picture("fox"), "a red fox"),
        (8, 1, picture("owl"), "a red fox"),
        (9, 0, b"{}", None),
    ]


def test_the_reserve_is_released_when_that_is_asked_for(tmp_path: Path) -> None:
    """Of the folder: the fake notes it, and the engine's own tests look there."""
    released: list[bool] = []

    async def main() -> None:
        async with LocalFolder(
            Folder(tmp_path), Check(10**6), CancelEvent(), lambda: released.append(True)
        ) as store:
            store.release_reserve()

    asyncio.run(main())
    assert released == [True]
