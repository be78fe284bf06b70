"""What the commands call, from the job to the files it leaves: runs, plans, retries, status, verification."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from jobs.selection import RetrySelection
from runner.app import use_cases
from runner.app.listeners import Listeners
from runner.config.loader import read_out_job
from runner.engine.deadline import Deadline
from runner.ledger.reader import open_reader
from runner.process.version import VERSION
from runner.retry.request import RetryRequest, parse_overrides
from runner.workspace import lock
from runner.workspace.folder import open_workspace
from schemas.errors import ExitCode, JobError, Reason
from schemas.failures import FailureKind
from schemas.job import Job
from schemas.summary import Summary
from tests.support.canary import CANARY
from tests.support.fakes import FakeListener
from tests.support.runs import SeenRequest, Service, error, good, serving

MODERATION = frozenset({FailureKind.MODERATION})


@dataclass
class Stage:
    """A manifest and an output folder, and the service that is going on. rude: whether it refuses rude prompts."""

    folder: Path
    service: Service
    rude: bool = True

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def write(self, *prompts: str) -> None:
        """The manifest: ids `r0`, `r1`, …"""
        lines = (f"r{number},{prompt}\n" for number, prompt in enumerate(prompts))
        (self.folder / "p.csv").write_text("id,prompt\n" + "".join(lines))

    def job(self, **tables: Any) -> Job:
        made = {
            "manifest": str(self.folder / "p.csv"),
            "out": str(self.out),
            "endpoint": {"base_url": self.service.base_url},
            "request": {"model": "m"},
        }
        return Job.model_validate(made | tables)

    async def run(self, job: Job | None = None, **more: Any) -> Summary:
        return await use_cases.run_job_async(job or self.job(), **more)

    async def retry(self, asked: RetryRequest | None = None, **more: Any) -> Summary:
        return await asyncio.to_thread(use_cases.retry_folder, self.out, asked or RetryRequest(), **more)

    def new(self) -> list[str]:
        """The prompts that were asked for since the last call, sorted."""
        found = sorted(self.service.prompts)
        self.service.asked.clear()
        return found

    def table(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(self.out / "results.parquet").to_pylist()
        return rows

    def ledger(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(open_reader(self.out)) as reader:
            return reader.execute(sql).fetchall()


Story = Callable[[Callable[[Stage], Awaitable[None]]], None]


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Plays a story on a stage whose manifest has three rows, one of them with a rude prompt."""
    monkeypatch.setenv("IMAGEMILL_API_KEY", CANARY)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def refuses(asked: SeenRequest) -> web.StreamResponse | None:
        rude = stage.rude and asked.prompt.startswith("rude")
        return error(400, "moderation_blocked", "no") if rude else None

    stage = Stage(tmp_path, serving(refuses))
    stage.write("a fox", "rude owl", "a hare")

    async def main(play: Callable[[Stage], Awaitable[None]]) -> None:
        async with stage.service.serving():
            await play(stage)

    return lambda play: asyncio.run(main(play))


# Runs


def test_a_run_leaves_images_ledger_table_summary_and_job(story: Story) -> None:
    async def play(stage: Stage) -> None:
        job = stage.job()
        summary = await stage.run(job)
        assert stage.new() == ["a fox", "a hare", "rude owl"]
        assert (summary.exit_code, summary.by_status) == (3, {"succeeded": 2, "failed": 1})
        assert json.loads((stage.out / "summary.json").read_text())["by_error"] == {"moderation": 1}
        assert [row["status"] for row in stage.table()] == ["succeeded", "failed", "succeeded"]
        assert len(list(stage.out.glob("images/*/*.png"))) == 2
        assert read_out_job(stage.out).request == job.request
        assert not lock.is_held(stage.out)
        found = stage.ledger("SELECT run_id, version, endpoint, command FROM runs")
        assert found == [(summary.run_id, VERSION, stage.service.base_url, use_cases.RUN_COMMAND)]
        assert stage.ledger("SELECT exit_code FROM run_ends") == [(3,)]

    story(play)


def test_the_next_run_sends_only_what_is_new(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run()
        stage.new()
        stage.write("a fox", "rude owl", "a hare", "a mole")
        summary = await stage.run()
        assert stage.new() == ["a mole"]
        assert summary.by_status == {"succeeded": 3, "failed": 1}

    story(play)


def test_edited_rows_stop_a_run_before_anything_changes(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run()
        stage.new()
        kept = (stage.out / "job.toml").read_bytes(), len(stage.ledger("SELECT * FROM runs"))
        stage.write("a red fox", "rude owl", "a hare")
        with pytest.raises(JobError, match="1 row was edited"):
            await stage.run(stage.job(limits={"rpm": 9}))
        now = (stage.out / "job.toml").read_bytes(), len(stage.ledger("SELECT * FROM runs"))
        assert (now, stage.new()) == (kept, [])
        keeping = stage.job(run={"on_change": "keep"})
        assert (await stage.run(keeping)).by_status == {"succeeded": 2, "failed": 1}
        assert stage.new() == []

    story(play)


def test_a_frame_is_a_manifest_that_the_folder_keeps(story: Story) -> None:
    async def play(stage: Stage) -> None:
        frame = pd.DataFrame({"id": ["x", "y"], "prompt": ["a crow", "a wren"]})
        await stage.run(stage.job(manifest=None), manifest=frame)
        assert stage.new() == ["a crow", "a wren"]
        assert pq.read_table(stage.out / "manifest.parquet").column("prompt").to_pylist() == [
            "a crow",
            "a wren",
        ]
        status = await asyncio.to_thread(use_cases.status, stage.out)
        assert status.by_status == {"succeeded": 2}

    story(play)


def test_a_command_whose_time_is_up_sends_nothing(story: Story) -> None:
    over = Deadline(time.monotonic() - 9, max_duration_s=5)

    async def play(stage: Stage) -> None:
        late = await stage.run(deadline=over)
        assert (late.exit_code, stage.new()) == (ExitCode.MAX_DURATION, [])
        assert late.exit_reason == "--max-duration of 5 s reached"
        assert late.by_status == {"pending": 3}
        await stage.run()
        stage.new()
        done = await stage.run(deadline=over)
        assert (done.exit_code, stage.new()) == (ExitCode.SOME_FAILED, [])

    story(play)


def test_time_that_ends_during_a_run_stops_it(story: Story) -> None:
    async def play(stage: Stage) -> None:
        class OnceAsked(Deadline):
            """The time is up as soon as the service has got a request."""

            @property
            def reason(self) -> Reason | None:
                up = Reason(ExitCode.MAX_DURATION, "the time is up")
                return up if stage.service.asked else None

            @property
            def pause_s(self) -> float | None:
                return 0.01

        job = stage.job(limits={"rpm": 0.1})
        summary = await stage.run(job, deadline=OnceAsked(0.0))
        assert (summary.exit_code, summary.exit_reason) == (ExitCode.MAX_DURATION, "the time is up")
        assert stage.new() == ["a fox"]
        assert summary.by_status == {"succeeded": 1, "pending": 2}

    story(play)


def test_what_goes_wrong_beside_the_engine_is_raised_once_the_run_is_recorded(story: Story) -> None:
    async def play(stage: Stage) -> None:
        looked = asyncio.Event()

        async def answer(seen: SeenRequest) -> web.StreamResponse:
            await looked.wait()
            return good(seen.prompt)

        class Wrong(Deadline):
            """Cannot be read once the service has got a request."""

            @property
            def reason(self) -> Reason | None:
                if stage.service.asked:
                    looked.set()
                    raise RuntimeError("the clock is broken")
                return None

            @property
            def pause_s(self) -> float | None:
                return 0.01

        stage.service.answer = answer
        with pytest.raises(RuntimeError, match="the clock is broken"):
            await stage.run(deadline=Wrong(0.0))
        assert stage.ledger("SELECT exit_code FROM run_ends") == [(0,)]
        assert (stage.out / "summary.json").exists()
        assert not lock.is_held(stage.out)

    story(play)


def test_a_listener_hears_of_the_run(story: Story) -> None:
    listener = FakeListener([])

    async def play(stage: Stage) -> None:
        async with Listeners([listener]) as listeners:
            await stage.run(listeners=listeners)

    story(play)
    last = listener.looks[-1]
    assert (last.done_images, last.failed_images, last.in_flight) == (2, 1, 0)


def test_a_folder_in_use_is_refused_and_waited_for(story: Story) -> None:
    async def play(stage: Stage) -> None:
        with open_workspace(stage.out, stage.job()):
            with pytest.raises(JobError) as refused:
                await stage.run()
            assert refused.value.exit_code is ExitCode.LOCKED
            waiting = asyncio.create_task(stage.run(stage.job(run={"wait_lock": 60})))
            await asyncio.sleep(0.05)
            assert stage.new() == []
        assert (await waiting).by_status == {"succeeded": 2, "failed": 1}

    story(play)


def test_a_simulated_job_has_a_service_of_its_own(story: Story) -> None:
    async def play(stage: Stage) -> None:
        job = stage.job(simulate=True, simulator={"latency": 0}, request={"size": "64x64"})
        assert (await stage.run(job)).by_status == {"succeeded": 3}
        await stage.run(job)
        assert stage.ledger("SELECT endpoint FROM runs ORDER BY run") == [("simulated",), ("simulated",)]
        assert use_cases.is_simulated(stage.out)
        assert stage.new() == []

    story(play)


def test_a_run_from_outside_of_an_event_loop(story: Story) -> None:
    async def play(stage: Stage) -> None:
        summary = await asyncio.to_thread(use_cases.run_job, stage.job())
        assert summary.by_status == {"succeeded": 2, "failed": 1}

    story(play)


# Looking


def test_a_plan_needs_neither_key_nor_folder(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGEMILL_API_KEY")

    async def play(stage: Stage) -> None:
        plan = use_cases.plan_job(stage.job())
        assert (plan.rows, plan.requests) == (3, 3)
        assert not stage.out.exists()
        with pytest.raises(JobError, match="no API key"):
            await stage.run()

    story(play)


def test_status_tells_the_folder_as_it_stands(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(stage: Stage) -> None:
        with pytest.raises(JobError, match="is not an imagemill folder"):
            use_cases.status(stage.out)
        ran = await stage.run()
        monkeypatch.delenv("IMAGEMILL_API_KEY")
        found = use_cases.status(stage.out)
        assert (found.by_status, found.exit_code, found.run_id) == (ran.by_status, 3, ran.run_id)
        assert not use_cases.is_simulated(stage.out)

    story(play)


def test_a_request_under_way_is_pending_while_the_run_lives_and_parked_afterwards(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run()
        job = stage.job()
        with open_workspace(stage.out, job) as place:
            place.ledger.start_run("r", started_ms=1, version="0", endpoint="e", command="{}")
            place.ledger.record([("UPDATE attempts SET run = 1 WHERE attempt = 0", ())])
            place.ledger.record([("DELETE FROM images", ()), ("DELETE FROM outcomes WHERE attempt = 0", ())])
            live = use_cases.status(stage.out)
        dead = use_cases.status(stage.out)
        assert (live.by_status.get("parked"), dead.by_status.get("parked")) == (None, 1)

    story(play)


def test_verify_compares_and_repairs(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run()
        assert use_cases.verify_folder(stage.out).problems == []
        (stage.out / "results.parquet").unlink()
        (found,) = use_cases.verify_folder(stage.out).problems
        assert (found.path, found.repaired) == ("results.parquet", False)
        (repaired,) = use_cases.verify_folder(stage.out, repair=True).problems
        assert repaired.repaired
        assert len(stage.table()) == 3
        (stage.folder / "p.csv").unlink()
        assert use_cases.verify_folder(stage.out).problems == []

    story(play)


# Retries


def test_a_retry_sends_what_failed_and_is_remembered(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run()
        stage.new()
        stage.rude = False
        summary = await stage.retry(RetryRequest(RetrySelection(kinds=MODERATION)))
        assert (stage.new(), summary.by_status) == (["rude owl"], {"succeeded": 3})
        assert summary.exit_code == 0
        (command,) = stage.ledger("SELECT command FROM runs WHERE run = 1")[0]
        assert json.loads(command) == {"command": "retry"}

    story(play)


def test_a_retry_with_nothing_to_send_says_why_and_is_no_failure(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run()
        stage.new()
        summary = await stage.retry(RetryRequest(RetrySelection(parked=True)))
        assert (stage.new(), summary.exit_code) == ([], 0)
        assert summary.exit_reason == "nothing to send: no row matches these selections"
        assert stage.ledger("SELECT count(*) FROM runs") == [(1,)]

    story(play)


def test_a_success_is_paid_for_again_only_when_that_is_said(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run()
        stage.new()
        fox = RetrySelection(row_ids=frozenset({"r0"}), succeeded=True)
        with pytest.raises(JobError, match="1 existing image would be made again and charged"):
            await stage.retry(RetryRequest(fox))
        assert stage.new() == []
        again = await stage.retry(RetryRequest(fox, yes=True))
        assert (stage.new(), again.images_saved, again.folder.images_saved) == (["a fox"], 1, 3)

    story(play)


def test_a_retry_overrides_for_itself_and_leaves_the_job_alone(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run()
        stage.new()
        before = (stage.out / "job.toml").read_bytes()
        changes, settings = parse_overrides(
            [("prompt", "a kind {row_id}"), ("limits.concurrency", "1")], [], {}
        )
        summary = await stage.retry(RetryRequest(overrides=changes, settings=settings))
        assert (stage.new(), summary.by_status) == (["a kind r1"], {"succeeded": 3})
        assert (stage.out / "job.toml").read_bytes() == before
        assert [row["sent_prompt"] for row in stage.table()] == [None, "a kind r1", None]
        assert not (stage.out / ".tmp" / "retry-texts.sqlite").exists()

    story(play)


def test_a_retry_refuses_an_edited_manifest(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run()
        stage.new()
        stage.write("a red fox", "rude owl", "a hare")
        with pytest.raises(JobError, match="1 row was edited"):
            await stage.retry()
        with pytest.raises(JobError, match="1 row was edited"):
            use_cases.retry_plan(stage.out, RetryRequest())
        assert stage.new() == []

    story(play)


def test_a_simulated_folder_is_retried_with_a_simulator(story: Story) -> None:
    async def play(stage: Stage) -> None:
        stage.write("a fox", "a [[refuse]] owl")
        job = stage.job(simulate=True, simulator={"latency": 0}, request={"size": "64x64"})
        assert (await stage.run(job)).by_status == {"succeeded": 1, "failed": 1}
        changes, settings = parse_overrides([("prompt", "an owl")], [], {})
        summary = await stage.retry(RetryRequest(overrides=changes, settings=settings))
        assert (summary.by_status, stage.new()) == ({"succeeded": 2}, [])

    story(play)


def test_what_a_retry_would_send(story: Story) -> None:
    async def play(stage: Stage) -> None:
        await stage.run(stage.job(budget={"price": 0.5}))
        stage.new()
        plan, found = use_cases.retry_plan(stage.out, RetryRequest())
        assert (plan.rows, plan.requests, plan.done, plan.cost_usd.high) == (3, 1, 2, 0.5)
        assert len(found.picks) == 1
        there, _ = use_cases.retry_plan(
            stage.out, RetryRequest(RetrySelection(row_ids=frozenset({"r0"}), succeeded=True))
        )
        assert [warning.message for warning in there.warnings] == [
            "1 of the images is there already and would be paid for again: needs --yes",
        ]
        assert stage.new() == []

    story(play)
