"""A folder whose images came from one service is not gone on with at another by accident."""

from __future__ import annotations

import json

import pytest

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended
from tests.support.imageservice import ImageService


def run(command: CommandLine, base_url: str, *options: str) -> Ended:
    given = ("--base-url", base_url, "--price", "0.01", "--out", "out", "--json", "-q")
    return command("run", "m.csv", *given, *options, environ=WITH_CANARY)


def test_another_service_has_to_be_meant(command: CommandLine) -> None:
    (command.cwd / "m.csv").write_text("prompt\na fox\na hare\n")
    with ImageService() as first, ImageService() as second:
        assert run(command, first.base_url, "--max-requests", "1").code == 8
        stopped = run(command, second.base_url)
        assert (stopped.code, second.seen) == (2, [])
        assert (
            f"came from {first.base_url}" in stopped.err and f"would go to {second.base_url}" in stopped.err
        )
        assert f"--base-url {first.base_url}" in stopped.err and "--new-endpoint" in stopped.err
        planned = command("plan", "m.csv", "--base-url", second.base_url, "--out", "out", "--json")
        assert "--new-endpoint" in planned.json["warnings"][0]["message"]
        meant = run(command, second.base_url, "--new-endpoint")
        assert (meant.code, len(second.seen), len(first.seen)) == (0, 1, 1)
        assert "new_endpoint" not in (command.cwd / "out/job.toml").read_text()
        endpoints = [row["endpoint"] for row in command.results("out")]
        assert endpoints == [first.base_url, second.base_url]
        assert run(command, first.base_url).code == 2, "the consent was to the other service"


def test_a_wrong_address_that_gave_nothing_binds_nobody(command: CommandLine) -> None:
    """The same command with the URL mended goes on without a word."""
    (command.cwd / "m.csv").write_text("prompt\na fox\na hare\n")
    with ImageService() as service:
        wrong = run(command, "http://127.0.0.1:9/v1", "--set", "run.first_contact=0.5")
        assert wrong.code == 5
        assert run(command, service.base_url).code == 0


def test_simulated_rows_say_so(command: CommandLine) -> None:
    (command.cwd / "m.csv").write_text("prompt\na fox\n")
    simulated = command("run", "m.csv", "--simulate", "--out", "out", "--set", "simulator.latency=0")
    assert simulated.code == 0
    assert [row["endpoint"] for row in command.results("out")] == ["simulated"]
    told = json.loads(command("history", "out", "--json").out)
    assert {each["endpoint"] for each in told["runs"]} == {"simulated"}


@pytest.mark.parametrize("quiet", [False, True])
def test_a_run_begins_with_where_it_goes(command: CommandLine, quiet: bool) -> None:
    (command.cwd / "m.csv").write_text("prompt\na fox\n")
    with ImageService() as service:
        given = (
            "--base-url",
            service.base_url,
            "--out",
            "out",
            "--model",
            "mine",
            *(["-q"] if quiet else []),
        )
        ended = command("run", "m.csv", *given, environ=WITH_CANARY)
        line = f"service  {service.base_url}, model mine, key from the environment (IMAGEMILL_API_KEY)"
        assert (ended.err.splitlines()[:1] == [line]) is not quiet
