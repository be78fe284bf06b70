"""A row of several images that got only some of them: what it lacks is told, and asked for again on its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.commandline import CommandLine, Service
from tests.support.servedjob import ServedJob

SCENARIO = """
latency = { median = 0.0 }
[[fault]]
match = "few"
kind = "fewer_images"
times = 1
[[fault]]
match = "never"
kind = "fewer_images"
"""


@contextmanager
def served(command: CommandLine, *prompts: str) -> Iterator[ServedJob]:
    """A job of rows with three images each, and its service."""
    lines = "".join(f"r{i},{prompt},3\n" for i, prompt in enumerate(prompts))
    (command.cwd / "prompts.csv").write_text(f"id,prompt,n\n{lines}")
    (command.cwd / "few.toml").write_text(SCENARIO)
    with Service(command, "--scenario", "few.toml") as service:
        yield ServedJob(command, service, len(prompts))


def test_only_the_images_that_a_row_lacks_are_asked_for_again(command: CommandLine) -> None:
    with served(command, "a few foxes", "three owls") as job:
        first = job.run()
        assert (first.code, first.json["by_status"]) == (3, {"succeeded": 5, "failed": 1})
        assert first.json["next"] == "imagemill retry out --reread"
        before = {row["file_name"]: row["sha256"] for row in command.results("out") if row["file_name"]}
        assert job.run().json["folder"]["requests_sent"] == 2
        again = job.retry()
        assert (again.code, again.json["by_status"], again.json["folder"]["requests_sent"]) == (
            0,
            {"succeeded": 6},
            3,
        )
        rows = command.results("out")
        assert [(row["row_id"], row["image_index"]) for row in rows] == [
            (r, i) for r in ("r0", "r1") for i in range(3)
        ]
        assert before.items() <= {row["file_name"]: row["sha256"] for row in rows}.items()
        assert job.service.stats()["billed_images"] == 3 + 3 + 1
        assert command("verify", "out").code == 0
        assert job.retry().json["folder"]["requests_sent"] == 3


def test_what_is_refused_again_stays_and_is_told(command: CommandLine) -> None:
    with served(command, "never all") as job:
        assert job.run().json["by_status"] == {"succeeded": 2, "failed": 1}
        again = job.retry("--error", "bad_content")
        assert (again.code, again.json["by_status"]) == (3, {"succeeded": 2, "failed": 1})
        assert again.json["folder"]["requests_sent"] == 2
        assert job.retry("--error", "moderation").json["folder"]["requests_sent"] == 2
