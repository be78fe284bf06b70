"""Runs of the real engine, and what a listener hears of each: how they start, their figures, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import runner
from runner.app import use_cases
from runner.retry.request import RetryRequest as AskedRetry
from runner.schedule.scheduled_run import run_scheduled_async
from schemas.errors import JobError
from schemas.job import Job
from schemas.reports import Progress
from schemas.summary import Summary
from tests.support.canary import CANARY
from tests.support.clock import clock, run
from tests.support.fakes import FakeListener
from tests.support.runs import SeenRequest, Service, error, good

PROMPTS = ("a fox", "a hare", "a refused owl", "a cut hen", "two cats", "a late dog")
STEP_S = 0.3
"""A little more than from look to look."""


async def answer(asked: SeenRequest) -> web.StreamResponse:
    if "refused" in asked.prompt:
        return error(400, "moderation_blocked")
    if "late" in asked.prompt and asked.turn == 0:
        return error(429, retry_after="0")
    return good(asked.prompt, asked.body.get("n", 1))


def job_of(folder: Path, service: Service, **more: Any) -> Job:
    (folder / "p.csv").write_text(
        "prompt,n\n" + "".join(f"{each},{1 + ('two' in each)}\n" for each in PROMPTS)
    )
    tables = {
        "manifest": str(folder / "p.csv"),
        "out": str(folder / "out"),
        "request": {"size": "64x64"},
        "endpoint": {"base_url": service.base_url},
        "limits": {"concurrency": 1},
    }
    return Job.model_validate(tables | more)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEMILL_API_KEY", CANARY)


def heard(
    folder: Path,
    service: Service,
    listener: FakeListener,
    use: Callable[[Awaitable[Summary]], Awaitable[None]],
    **more: Any,
) -> None:
    """Run the job beside the service and have `use` wait for it."""

    async def main() -> None:
        async with service.serving():
            job = job_of(folder, service, **more)

            def never(_day: date) -> Job:
                raise AssertionError("the job has no date")

            await use(run_scheduled_async(job, job.manifest, never, listeners=[listener]))

    run(main())


def is_in_order(journal: list[str]) -> bool:
    inner = journal[1:-1]
    return (journal[0], journal[-1]) == ("listener.started", "listener.finished") and set(inner) == {
        "listener.progress"
    }


def test_figures_never_fall_and_the_last_look_has_them_all(tmp_path: Path) -> None:
    listener = FakeListener([])

    async def answer_a_look_later(asked: SeenRequest) -> web.StreamResponse:
        looks = len(listener.looks)
        while len(listener.looks) == looks:
            clock().put_forward(STEP_S)
            await asyncio.sleep(0.002)
        return await answer(asked)

    async def no_waiting() -> None:
        while True:
            await asyncio.sleep(0.01)
            if service.asked and not service.in_flight:
                clock().put_forward(STEP_S)

    async def use(going: Awaitable[Summary]) -> None:
        beside = asyncio.ensure_future(no_waiting())
        summary = await going
        beside.cancel()
        assert (summary.exit_code, summary.by_status) == (3, {"succeeded": 6, "failed": 1})
        assert listener.ends[0].summary == summary

    service = Service(answer_a_look_later)
    heard(tmp_path, service, listener, use, budget={"price": 0.5})
    assert is_in_order(listener.journal)
    assert len(listener.looks) > len(PROMPTS)

    def figures(look: Progress) -> tuple[float, ...]:
        counts = (
            look.total_images,
            look.done_images,
            look.failed_images,
            look.parked_images,
            look.invalid_rows,
        )
        return (*counts, look.cost_usd or 0.0, look.elapsed_s)

    for before, after in zip(listener.looks, listener.looks[1:], strict=False):
        assert all(old <= new for old, new in zip(figures(before), figures(after), strict=True))
    assert figures(listener.looks[-1])[:5] == (7, 6, 1, 0, 0)


def test_a_refused_key_is_an_end_with_a_summary(tmp_path: Path) -> None:
    listener = FakeListener([])

    async def refuse(_asked: SeenRequest) -> web.StreamResponse:
        return error(401, "invalid_api_key")

    async def use(going: Awaitable[Summary]) -> None:
        assert (await going).exit_code == 4

    heard(tmp_path, Service(refuse), listener, use)
    assert is_in_order(listener.journal)
    (end,) = listener.ends
    assert (end.exit_code, end.summary is not None, end.locked_out) == (4, True, False)


def test_a_run_that_is_cut_ends_once(tmp_path: Path) -> None:
    listener, asked_for = FakeListener([]), asyncio.Event()

    async def hang(_asked: SeenRequest) -> web.StreamResponse:
        asked_for.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def use(going: Awaitable[Summary]) -> None:
        task = asyncio.ensure_future(going)
        await asked_for.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    heard(tmp_path, Service(hang), listener, use)
    assert is_in_order(listener.journal)
    assert [(end.exit_code, end.summary) for end in listener.ends] == [(130, None)]


def test_a_manifest_without_prompts_ends_before_the_first_look(tmp_path: Path) -> None:
    listener = FakeListener([])

    async def use(going: Awaitable[Summary]) -> None:
        (tmp_path / "p.csv").write_text("colour\nred\n")
        with pytest.raises(JobError):
            await going

    heard(tmp_path, Service(answer), listener, use)
    assert listener.journal == ["listener.started", "listener.finished"]
    assert listener.ends[0].exit_code == 2


def test_nothing_that_a_listener_raises_ends_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listener = FakeListener([], raises=RuntimeError("no"))

    async def use(going: Awaitable[Summary]) -> None:
        assert (await going).by_status == {"succeeded": 6, "failed": 1}

    heard(tmp_path, Service(answer), listener, use)
    assert is_in_order(listener.journal)
    warned = [record.getMessage() for record in caplog.records if record.name == "runner.app.listeners"]
    assert warned == ["a fake: RuntimeError"]


def test_a_retry_is_heard_as_a_run_is(tmp_path: Path) -> None:
    """The service is gone by then, and the budget says so before anything is sent."""
    listener = FakeListener([])

    async def use(going: Awaitable[Summary]) -> None:
        await going

    heard(tmp_path, Service(answer), FakeListener([]), use)
    spent = AskedRetry(settings={"budget.max_requests": 1})
    summary = use_cases.retry_folder(tmp_path / "out", spent, listeners=[listener])
    assert (summary.exit_code, is_in_order(listener.journal)) == (8, True)
    assert listener.ends[0].summary == summary


def test_what_on_progress_raises_is_a_warning_of_the_summary(tmp_path: Path) -> None:
    """It is called in the loop's own thread, and not again after its error."""
    called: list[asyncio.AbstractEventLoop] = []

    def on_progress(_progress: Progress) -> None:
        called.append(asyncio.get_running_loop())
        raise LookupError("a bug of the caller's")

    async def main() -> None:
        service = Service(answer)
        async with service.serving():
            job = job_of(tmp_path, service)
            options: Any = {"out": job.out, "base_url": service.base_url, "size": "64x64"}
            with pytest.warns(runner.JobWarning, match="a bug of the caller's"):
                summary = await runner.run_async(str(job.manifest), on_progress=on_progress, **options)
            (told,) = (warning.message for warning in summary.warnings if warning.kind == "on_progress")
            assert told.startswith(
                "on_progress raised LookupError: a bug of the caller's (test_heard_runs.py, line "
            )
            assert called == [asyncio.get_running_loop()]

    run(main())
    assert use_cases.status(tmp_path / "out").by_status == {"succeeded": 6, "failed": 1}
