"""A retry that is killed: what was done stays done, and nothing is sent again unasked."""

from __future__ import annotations

from pathlib import Path

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Service
from tests.support.servedjob import ServedJob
from tests.support.waiting import until

SCENARIO = """
latency = { median = 0.0 }
[[fault]]
match = "again"
kind = "slow"
delay = 30
"""
ROWS = 3


def test_successes_that_were_being_sent_again_stay_and_are_not_sent_by_run(
    command: CommandLine, tmp_path: Path
) -> None:
    """G3, G4: kill -9 with the second requests in flight; their rows keep their pictures, and the attempts are told."""
    (tmp_path / "prompts.csv").write_text("id,prompt\n" + "".join(f"r{i},owl {i}\n" for i in range(ROWS)))
    (tmp_path / "faults.toml").write_text(SCENARIO)
    with Service(command, "--scenario", str(tmp_path / "faults.toml")) as service:
        job = ServedJob(command, service, ROWS)
        assert job.run().code == 0
        before = command.results("out")
        again = ("--succeeded", "--yes", "--where", "row < 2", "--set", "prompt={prompt} again")
        process = command.start("retry", "out", *again, environ=WITH_CANARY)
        until(lambda: service.stats()["requests"] == ROWS + 2)
        process.kill()
        process.communicate(timeout=20)
        assert command("status", "out", "--json").json["by_status"] == {"succeeded": ROWS}
        run = job.run()
        assert (run.code, run.json["folder"]["maybe_billed"], service.stats()["requests"]) == (0, 2, ROWS + 2)
    after = command.results("out")
    same = ("status", "file_name", "sha256", "attempt", "try_number", "sent_prompt")
    assert [[row[name] for name in same] for row in after] == [[row[name] for name in same] for row in before]
    assert [(row["attempts"], row["maybe_billed"]) for row in after] == [(2, 1), (2, 1), (1, 0)]
    (row,) = command("history", "out", "r0", "--json").json["rows"]
    assert [(each["status"], each["prompt"]) for each in row["attempts"]] == [
        ("succeeded", None),
        ("parked", "owl 0 again"),
    ]
    assert not list((tmp_path / "out/.tmp").iterdir())


def test_a_task_of_another_service_is_asked_for_there_and_nowhere_else(
    command: CommandLine, tmp_path: Path
) -> None:
    """G7: a retry elsewhere is killed while its task is made; `run` leaves the task alone, a retry there fetches it."""
    (tmp_path / "prompts.csv").write_text("id,prompt\na,a rude owl [[refuse]]\n")
    with (
        Service(command, "--latency", "0") as own,
        Service(command, "--dialect", "evolink", "--latency", "3") as other,
    ):
        job = ServedJob(command, own, 1)
        assert job.run().code == 3
        there = ("retry", "out", "--base-url", other.base_url, "--set", "endpoint.poll_every=0.1", "--json")
        process = command.start(*there, "--set", "prompt=a polite owl", environ=WITH_CANARY)
        until(lambda: other.stats()["polls"] >= 1)
        process.kill()
        process.communicate(timeout=20)
        run = job.run()
        assert (run.json["by_status"], own.stats()["requests"]) == ({"pending": 1}, 1)
        done = command(*there, environ=WITH_CANARY)
        assert (done.code, done.json["by_status"]) == (0, {"succeeded": 1}), done.err
        assert other.stats()["by_prompt"] == {"a polite owl": 1}
    (row,) = command.results("out")
    assert (row["prompt"], row["sent_prompt"]) == ("a rude owl [[refuse]]", "a polite owl")
    assert (row["endpoint"], row["attempts"]) == (other.base_url, 2)


def test_a_task_that_took_too_long_is_given_up_only_by_its_name(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("prompt\na slow fox\n")
    with Service(command, "--latency", "2", "--dialect", "evolink") as service:
        job = ServedJob(command, service, 1)
        left = job.run("--set", "endpoint.task_timeout=0.1", "--set", "endpoint.poll_every=0.05")
        assert (left.code, left.json["by_error"]) == (3, {"task_timeout": 1})
        for where, requests in (
            ("status == 'parked'", 0),
            ("error_kind like 'task%'", 1),
            ("error_kind > ''", 0),
        ):
            assert job.retry("--where", where, "--dry-run").json["requests"] == requests
        named = job.retry("--set", "endpoint.task_timeout=60", "--error", "task_timeout")
        assert (named.code, named.json["by_status"]) == (0, {"succeeded": 1})
        assert service.stats()["tasks"]["submitted"] == 2
