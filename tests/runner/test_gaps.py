"""A row of several images that got only some of them: what it lacks is told, and asked for again on its own."""

from __future__ import annotations

from pathlib import Path

from tests.canary import WITH_CANARY
from tests.commandline import CommandLine, Ended, Service

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


def run(command: CommandLine, service: Service, *options: str) -> Ended:
    fixed = (
        "run",
        "prompts.csv",
        "--base-url",
        service.base_url,
        "--size",
        "64x64",
        "--out",
        "out",
        "--json",
        "-q",
    )
    return command(*fixed, *options, environ=WITH_CANARY)


def retry(command: CommandLine, *options: str) -> Ended:
    return command("retry", "out", "--json", "-q", *options, environ=WITH_CANARY)


def prepared(command: CommandLine, tmp_path: Path, *prompts: str) -> Path:
    (command.cwd / "prompts.csv").write_text(
        "id,prompt,n\n" + "".join(f"r{i},{p},3\n" for i, p in enumerate(prompts))
    )
    scenario = tmp_path / "few.toml"
    scenario.write_text(SCENARIO)
    return scenario


def test_only_the_images_that_a_row_lacks_are_asked_for_again(command: CommandLine, tmp_path: Path) -> None:
    scenario = prepared(command, tmp_path, "a few foxes", "three owls")
    with Service(command, "--scenario", str(scenario)) as service:
        first = run(command, service)
        assert (first.code, first.json["by_status"]) == (3, {"succeeded": 5, "failed": 1})
        assert first.json["next"] == "imagemill retry out"
        before = {row["file_name"]: row["sha256"] for row in command.results("out") if row["file_name"]}
        assert run(command, service).json["requests_sent"] == 2
        again = retry(command)
        assert (again.code, again.json["by_status"], again.json["requests_sent"]) == (0, {"succeeded": 6}, 3)
        rows = command.results("out")
        assert [(row["row_id"], row["image_index"]) for row in rows] == [
            (r, i) for r in ("r0", "r1") for i in range(3)
        ]
        assert before.items() <= {row["file_name"]: row["sha256"] for row in rows}.items()
        assert service.stats()["billed_images"] == 3 + 3 + 1
        assert command("verify", "out").code == 0
        assert retry(command).json["requests_sent"] == 3


def test_what_is_refused_again_stays_and_is_told(command: CommandLine, tmp_path: Path) -> None:
    scenario = prepared(command, tmp_path, "never all")
    with Service(command, "--scenario", str(scenario)) as service:
        assert run(command, service).json["by_status"] == {"succeeded": 2, "failed": 1}
        again = retry(command, "--error", "bad_content")
        assert (again.code, again.json["by_status"]) == (3, {"succeeded": 2, "failed": 1})
        assert again.json["requests_sent"] == 2
        assert retry(command, "--error", "moderation").json["requests_sent"] == 2
