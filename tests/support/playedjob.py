"""Whole runs from Python over a service that the test plays: every request is seen, and answered as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aiohttp import web

import runner
from jobs.overrides import Overrides, Template
from jobs.selection import RetrySelection
from runner.app import use_cases
from runner.config.loader import load_job
from runner.retry.request import RetryRequest as Retried
from schemas.errors import JobError
from schemas.reports import Plan
from schemas.summary import Summary
from tests.support.canary import CANARY
from tests.support.runs import SeenRequest, Service, good

Answer = Callable[[SeenRequest], Awaitable[web.StreamResponse]]
Story = Callable[["PlayedJob"], Coroutine[Any, Any, None]]


async def pictures(asked: SeenRequest) -> web.StreamResponse:
    """As many as were asked for."""
    return good(asked.prompt, int(asked.body.get("n", 1)))


@dataclass
class PlayedJob:
    """One output folder beside its manifest, and what the service was asked by each command."""

    folder: Path
    service: Service = field(default_factory=lambda: Service(pictures))
    _before: int = 0

    @property
    def out(self) -> Path:
        """The output folder."""
        return self.folder / "out"

    def write(self, text: str, name: str = "p.csv") -> Path:
        """The manifest."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    async def run(self, manifest: Any, **options: Any) -> runner.RunSummary:
        """A run to its end; `sent` tells of it afterwards."""
        self._before = len(self.service.asked)
        usual: dict[str, Any] = {"out": str(self.out), "base_url": self.service.base_url, "price": 0.01}
        return await runner.run_async(manifest, **usual | options)

    async def refused(self, manifest: Any, **options: Any) -> str:
        """Run where it ends with exit code 2 before anything is sent or changed; what is said."""
        before = self.standing()
        with pytest.raises(JobError) as error:
            await self.run(manifest, **options)
        assert (int(error.value.exit_code), self.sent, self.standing()) == (2, [], before)
        return f"{error.value.message}\n{error.value.fix}"

    async def retry(
        self, wanted: RetrySelection, settings: Mapping[str, Any] | None = None, **fields: str
    ) -> Summary:
        """Send rows of the folder again, successes too. settings: job keys that differ; fields: of the requests."""
        self._before = len(self.service.asked)
        changes = Overrides(tuple((name, Template((text,))) for name, text in fields.items()))
        asked = Retried(wanted, changes, settings or {}, yes=True)
        return await asyncio.to_thread(use_cases.retry_folder, self.out, asked)

    def plan(self, manifest: Any, **options: Any) -> Plan:
        """What a run would do."""
        named = {"out": str(self.out), "budget.price": 0.01, "endpoint.base_url": self.service.base_url}
        return use_cases.plan_job(load_job(str(manifest), named | options, environ={}, cwd=self.folder))

    def status(self) -> Summary:
        """The folder as it stands."""
        return use_cases.status(self.out)

    @property
    def sent(self) -> list[str]:
        """The prompts of the last command, sorted."""
        return sorted(self.service.prompts[self._before :])

    def rows(self, *columns: str) -> list[Any]:
        """These columns of the results table, a tuple a row; of one column the values."""
        table = pq.read_table(self.out / "results.parquet", columns=list(columns)).to_pylist()
        return [next(iter(row.values())) if len(columns) == 1 else tuple(row.values()) for row in table]

    def standing(self) -> dict[str, bytes]:
        """Every file of the folder but the ledger's."""
        files = (path for path in self.out.rglob("*") if path.is_file() and "ledger" not in path.name)
        return {str(path.relative_to(self.out)): path.read_bytes() for path in files}

    def is_sound(self) -> bool:
        """Whether images and tables are what manifest, ledger and job say."""
        return not use_cases.verify_folder(self.out).problems


def played(story: Story) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """A test of this story, with a service that gives pictures."""

    @wraps(story)
    def test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMAGEMILL_API_KEY", CANARY)
        monkeypatch.chdir(tmp_path)
        job = PlayedJob(tmp_path)

        async def main() -> None:
            async with job.service.serving():
                await story(job)

        asyncio.run(main())

    del test.__wrapped__  # pytest would take its arguments for fixtures
    return test
