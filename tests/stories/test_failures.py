"""Failures as a user meets them: listed while a run goes on and after a kill, mended with what is printed."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

from aiohttp import web

from runner.app import use_cases
from runner.app.failures import FolderFailures
from runner.app.reread import reread_folder
from runner.results.failures import FailureReport
from tests.support.commandline import CommandLine
from tests.support.playedjob import PlayedJob, played
from tests.support.runs import SeenRequest, error, good
from tests.support.servedjob import served_job


def logged(out: Path) -> list[list[dict[str, Any]]]:
    """The logs of a folder's runs, oldest first."""
    logs = sorted((out / "logs").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    return [[json.loads(line) for line in log.read_text().splitlines()] for log in logs]


def listed(out: Path) -> list[tuple[str, int, str, str]]:
    found = FolderFailures(out).read(FailureReport())
    return [(each.row_id, each.image_index, each.status, each.error_kind) for each in found]


@played
async def test_a_larger_n_asks_for_what_is_not_there_and_for_nothing_twice(job: PlayedJob) -> None:
    """Nobody asked for the other images, so none of them has failed."""
    job.write("id,prompt\na,fox\nb,owl\n")
    await job.run("p.csv")
    kept = job.rows("sha256")
    planned = job.plan("p.csv", **{"request.n": 3})
    assert (planned.requests, planned.images, planned.warnings) == (2, 4, ())
    summary = await job.run("p.csv", n=3)
    assert (summary.exit_code, job.sent) == (0, ["fox", "owl"])
    assert [asked.body["n"] for asked in job.service.asked[2:]] == [2, 2]
    found = job.rows("row_id", "image_index", "status")
    assert found == [(row_id, index, "succeeded") for row_id in "ab" for index in range(3)]
    assert [job.rows("sha256")[at] for at in (0, 3)] == kept
    again = await job.run("p.csv", n=3)
    assert (again.exit_code, job.sent, job.is_sound()) == (0, [], True)
    (job.folder / "p.csv").unlink()
    assert use_cases.status(job.out).images == 6


@played
async def test_of_a_larger_n_what_was_stopped_is_sent_by_the_next_run(job: PlayedJob) -> None:
    job.write("id,prompt\na,fox\n")
    await job.run("p.csv")

    async def refuse(_asked: SeenRequest) -> web.StreamResponse:
        return error(401, "invalid_api_key", "no such key")

    job.service.answer = refuse
    stopped = await job.run("p.csv", n=2)
    assert (stopped.exit_code, stopped.by_status) == (4, {"succeeded": 1, "pending": 1})
    assert stopped.by_error == {}

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        return good(asked.prompt, int(asked.body.get("n", 1)))

    job.service.answer = answer
    assert (await job.run("p.csv", n=2)).exit_code == 0
    assert job.sent == ["fox"]


@played
async def test_after_useless_answers_the_next_command_costs_nothing(job: PlayedJob) -> None:
    async def useless(asked: SeenRequest) -> web.StreamResponse:
        return web.json_response({"data": []}) if asked.prompt == "owl" else good(asked.prompt)

    job.service.answer = useless
    job.write("id,prompt\na,fox\nb,owl\n")
    summary = await job.run("p.csv")
    assert shlex.split(summary.next) == ["imagemill", "retry", str(job.out), "--reread"]
    looked = await asyncio.to_thread(reread_folder, job.out)
    assert shlex.split(looked.next) == ["imagemill", "failures", str(job.out)]
    assert len(job.service.asked) == 2


@played
async def test_each_run_leaves_a_log_without_secrets(job: PlayedJob) -> None:
    async def answer(asked: SeenRequest) -> web.StreamResponse:
        return error(400, "moderation_blocked", "no owls") if asked.prompt == "owl" else good(asked.prompt)

    job.service.answer = answer
    job.write("id,prompt\na,fox\nb,owl\n")
    summary = await job.run("p.csv", model="m", size="64x64")
    await job.run("p.csv", model="m", size="64x64")
    first, second = logged(job.out)
    start, failure, end = first
    assert start["run_id"] == summary.run_id
    assert start["service"] == {"profile": "dieyuyun", "endpoint": job.service.base_url, "model": "m"}
    assert start["settings"]["request.size"] == "64x64"
    told = [failure[name] for name in ("row_id", "row", "status", "kind", "code", "http_status", "message")]
    assert told == ["b", 1, "failed", "moderation", "moderation_blocked", 400, "no owls"]
    assert (end["exit_code"], end["by_error"]) == (3, {"moderation": 1})
    assert [line["event"] for line in second] == ["start", "end"]
    (log, _) = (job.out / "logs").iterdir()
    assert log.stat().st_mode & 0o077 == 0
    assert job.is_sound()


@played
async def test_a_log_that_cannot_be_written_does_not_end_the_run(job: PlayedJob) -> None:
    job.out.mkdir()
    (job.out / "logs").write_text("a file stands in the way")
    job.write("id,prompt\na,fox\n")
    assert (await job.run("p.csv")).exit_code == 0


@played
async def test_failures_are_listed_while_the_run_goes_on(job: PlayedJob) -> None:
    refused, going_on = asyncio.Event(), asyncio.Event()

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        if asked.prompt == "owl":
            return error(400, "moderation_blocked", "no owls")
        refused.set()
        await going_on.wait()
        return good(asked.prompt)

    job.service.answer = answer
    job.write("id,prompt\na,owl\nb,fox\nc,\n")
    run = asyncio.create_task(job.run("p.csv", concurrency=1))
    await refused.wait()
    assert await asyncio.to_thread(listed, job.out) == [
        ("a", 0, "failed", "moderation"),
        ("c", 0, "invalid", "invalid_row"),
    ]
    followed = asyncio.create_task(asyncio.to_thread(lambda: [*FolderFailures(job.out).follow()]))
    going_on.set()
    await run
    assert [each.row_id for each in await followed] == ["a", "c"]


def test_after_a_kill_rows_in_flight_are_interrupted_and_the_folder_is_sound(tmp_path: Path) -> None:
    command = CommandLine(tmp_path)
    with served_job(command, rows=3, stuck=3) as job:
        process = job.start()
        job.reach(3)
        process.kill()
        process.communicate()
        out = tmp_path / job.out
        assert [(kind, status) for *_, status, kind in listed(out)] == [("interrupted", "parked")] * 3
        verified = command("verify", job.out, "--json")
        assert (verified.code, verified.json["problems"]) == (0, [])
        assert "results.parquet" in [note["path"] for note in verified.json["notes"]]
        assert [line["event"] for line in logged(out)[0]] == ["start"]
        resumed = job.run()
        assert (resumed.code, resumed.json["by_error"]) == (3, {"interrupted": 3})
        assert resumed.json["next"] == "imagemill retry out --parked"


def test_contradictory_defaults_are_one_message_and_send_nothing(tmp_path: Path) -> None:
    command = CommandLine(tmp_path)
    (tmp_path / "p.csv").write_text("prompt\na\nb\nc\n")
    contradiction = ("--background", "transparent", "--output-format", "jpeg")
    for name in ("run", "plan"):
        ended = command(name, "p.csv", "--simulate", *contradiction)
        assert (ended.code, ended.is_one_message()) == (2, True)
    (tmp_path / "own.csv").write_text("prompt,output_format\na,png\nb,\n")
    assert command("run", "own.csv", "--simulate", "--json", *contradiction).json["by_status"] == {
        "succeeded": 1,
        "invalid": 1,
    }
