"""What every `RowSource` does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from jobs.work import Work
from runner.engine.ports import RowSource
from runner.planning.source import PendingRowSource
from tests.support.fakes import FakeSource, row
from tests.support.ledgers import LedgerFolder
from tests.support.manifests import prompts, row_stream

Use = Callable[[RowSource], Awaitable[None]]


def of_fake(use: Use, names: Sequence[str], _folder: Path) -> None:
    """Rows from a list."""
    source = FakeSource([], [Work(row(number, name), None) for number, name in enumerate(names)])

    async def main() -> None:
        await use(source)

    asyncio.run(main())


def of_manifest(use: Use, names: Sequence[str], folder: Path) -> None:
    """Rows of a manifest that the ledger does not know."""
    with LedgerFolder(folder) as workspace:

        async def main() -> None:
            await use(PendingRowSource(row_stream(prompts(*names)), workspace.ledger.item_index()))

        asyncio.run(main())


@pytest.fixture(params=[of_fake, of_manifest])
def using(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Use, Sequence[str]], None]:
    """Uses a source of rows with these prompts."""
    return lambda use, names: request.param(use, names, tmp_path)


def test_each_row_comes_once_in_order_and_then_none(using: Callable[[Use, Sequence[str]], None]) -> None:
    names = [f"prompt {number}" for number in range(7)]

    async def use(source: RowSource) -> None:
        found = []
        while (work := await source.next()) is not None:
            found.append(work.row.request.prompt)
        assert found == names
        assert await source.next() is None
        await source.close()

    using(use, names)


def test_asking_whether_there_is_anything_takes_nothing_away(
    using: Callable[[Use, Sequence[str]], None],
) -> None:
    async def use(source: RowSource) -> None:
        assert await source.has_next()
        assert await source.has_next()
        work = await source.next()
        assert work is not None
        assert work.row.request.prompt == "only"
        assert not await source.has_next()
        await source.close()

    using(use, ["only"])
