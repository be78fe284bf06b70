"""What every `ArtifactStore` does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.artifacts.local_folder import LocalFolder
from runner.engine.ports import ArtifactStore, StoreRefused
from schemas.artifacts import Asked, Label, NotAnImage
from tests.faults.pictures import picture
from tests.runner.store.flaky import FlakyFolder
from tests.support.fakes import FakeStore

ASKED = Asked("png", None)
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
        async with LocalFolder(root, 10**6) as store:
            await use(store)

    asyncio.run(main())
    kept = (
        path for name in ("images", "quarantine") for path in (folder / name).rglob("*") if path.is_file()
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture(params=[of_fake, of_folder])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Files]:
    """Uses a store and tells what it holds afterwards."""
    return lambda use, refusals=0: request.param(use, tmp_path, refusals)  # type: ignore[no-any-return]


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
        name = await store.quarantine(Label(7, 0, "fox"), iter((b"half an ", b"answer")))
        assert name.startswith("quarantine/")

    assert list(kept(use).values()) == [b"half an answer"]


def test_a_store_that_refuses_leaves_nothing_and_takes_it_later(kept: Callable[..., Files]) -> None:
    async def use(store: ArtifactStore) -> None:
        with pytest.raises(StoreRefused):
            await store.quarantine(Label(7, 0, "fox"), (b"answer",))
        assert (await store.quarantine(Label(7, 0, "fox"), (b"answer",))).startswith("quarantine/")

    assert list(kept(use, refusals=1).values()) == [b"answer"]


def test_the_reserve_is_released_when_that_is_asked_for(tmp_path: Path) -> None:
    """Of the folder: the fake notes it, and the engine's own tests look there."""
    released: list[bool] = []

    async def main() -> None:
        async with LocalFolder(Folder(tmp_path), 10**6, lambda: released.append(True)) as store:
            store.release_reserve()

    asyncio.run(main())
    assert released == [True]
