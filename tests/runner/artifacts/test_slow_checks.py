"""Checks that may take long, beside the saves of a run: one at a time, and ended with it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.artifacts.check_process import CUT_SHORT
from runner.artifacts.local_folder import LocalFolder
from runner.artifacts.slow_checks import SlowChecks
from runner.engine.shutdown import CancelEvent
from schemas.artifacts import Check, Label, NotAnImage, RequestedFormat
from tests.attacks.faults.pictures import picture
from tests.support.images import drawn, jpeg_of_scans
from tests.support.processes import children
from tests.support.waiting import until

CHECK = Check(64_000_000)
ASKED = RequestedFormat(None, None)


def going() -> bool:
    """Whether a check has its process."""
    return len(children(os.getpid())) == 1


def test_an_image_that_takes_long_is_saved_like_any_other(tmp_path: Path) -> None:
    large = drawn("JPEG", size=(5000, 4000))

    async def main() -> None:
        async with LocalFolder(Folder(tmp_path), CHECK, CancelEvent()) as store:
            saved = await store.save_image(
                (large[:99], large[99:]), RequestedFormat("png", "8x8"), Label(1, 0, "fox")
            )
            assert (saved.format, saved.width, saved.flags) == (
                "jpeg",
                5000,
                ("format_mismatch", "size_mismatch"),
            )
            assert (tmp_path / saved.file_name).read_bytes() == large

    asyncio.run(main())


def test_others_are_saved_while_one_takes_long_and_it_ends_when_the_run_is_cut(tmp_path: Path) -> None:
    """Not before: one at a time, the second has not begun."""

    async def main() -> None:
        cut = CancelEvent()
        async with LocalFolder(Folder(tmp_path), CHECK, cut) as store:
            slow = [
                asyncio.create_task(
                    store.save_image((jpeg_of_scans(4000, 20_000),), ASKED, Label(number, 0, "x"))
                )
                for number in (1, 2)
            ]
            await asyncio.to_thread(until, going)
            labels = [Label(number, 0, "y") for number in range(10, 60)]
            others = [store.save_image((picture(str(label)),), ASKED, label) for label in labels]
            assert len({saved.file_name for saved in await asyncio.gather(*others)}) == 50
            assert going() and not any(task.done() for task in slow)
            cut.set()
            ends = await asyncio.gather(*slow, return_exceptions=True)
        assert [(type(end), str(end)) for end in ends] == [(NotAnImage, CUT_SHORT)] * 2
        assert not going()

    asyncio.run(main())


def test_once_the_run_is_cut_none_is_begun() -> None:
    async def main() -> None:
        cut = CancelEvent()
        cut.set()
        checks = SlowChecks(CHECK, cut)
        with pytest.raises(NotAnImage, match="cut short"):
            await checks.inspect((drawn("PNG"),), ASKED)
        await checks.close()

    asyncio.run(main())
    assert not going()
