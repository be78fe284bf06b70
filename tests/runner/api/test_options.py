"""The typed keywords are the options of the commands, and their values are what a job takes."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from runner.api.options import RetryOptions, RunOptions
from runner.api.retry_request import retry_request
from runner.cli.commands import plan as plan_command
from runner.cli.commands import retry as retry_command
from runner.cli.commands import run as run_command
from runner.cli.groups import Command
from runner.config.keywords import overrides_of
from runner.config.loader import load_job

OF_THE_COMMAND = {"source", "as_json", "quiet", "verbose", "out", "dry_run", "reread", "all"}
"""Arguments and what Python has instead: the value that a call returns, `dry_run` and `all` as arguments of their own."""

VALUES: dict[str, Any] = {
    "limit": 3,
    "sample": 2,
    "seed": 5,
    "prompt_col": "words",
    "id_col": "name",
    "distinct": "words",
    "on_change": "keep",
    "model": "m",
    "size": "64x64",
    "quality": "high",
    "background": "opaque",
    "moderation": "low",
    "n": 2,
    "output_format": "webp",
    "output_compression": 50,
    "response_format": "url",
    "param": {"user": "me"},
    "simulate": True,
    "profile": "openai",
    "base_url": "http://127.0.0.1:9/v1",
    "new_endpoint": True,
    "allow_http": True,
    "dialect": "auto",
    "api_key_env": "MY_KEY",
    "timeout": 20.5,
    "rpm": 7.5,
    "ipm": 7,
    "tpm": 1000,
    "concurrency": 4,
    "max_cost": 1.5,
    "max_requests": 9,
    "price": 0.01,
    "attempts": 2,
    "on_ambiguous": "retry",
    "ambiguous_budget": 3,
    "give_up": "5m",
    "canary": 1,
    "max_error_rate": 0.5,
    "max_duration": 60,
    "drain": "10s",
    "wait_lock": 1.5,
    "deadline": "06:00",
    "date": date(2026, 11, 20),
    "out": Path("runs/a"),
    "progress": "none",
    "metrics_file": Path("figures.prom"),
    "notify": ["json://127.0.0.1/x"],
    "ping_url": "http://127.0.0.1:9/ping",
    "log_format": "json",
    "set": {"limits.window_s": 10},
}


def names(command: Command) -> set[str]:
    return {parameter.name for parameter in command.params if parameter.name} - OF_THE_COMMAND


@pytest.mark.parametrize("command", [run_command.command, plan_command.command], ids=["run", "plan"])
def test_run_and_plan_take_the_options_of_their_commands(command: Command) -> None:
    assert set(RunOptions.__annotations__) - {"out"} == names(command)


def test_retry_takes_the_options_of_its_command() -> None:
    assert set(RetryOptions.__annotations__) == names(retry_command.command)


def test_every_annotation_can_be_read() -> None:
    for options in (RunOptions, RetryOptions):
        assert set(get_type_hints(options)) == set(options.__annotations__)


@pytest.mark.parametrize("name", RunOptions.__annotations__)
def test_a_value_of_the_type_is_one_that_the_job_takes(name: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("words,prompt,name\na,b,c\n")
    more = {"sample": 2} if name == "seed" else {}
    job = load_job("p.csv", overrides_of({name: VALUES[name]} | more), environ={}, cwd=tmp_path)
    assert job.model_fields_set


@pytest.mark.parametrize("name", [name for name in RetryOptions.__annotations__ if name in VALUES])
def test_a_retry_takes_it_too(name: str) -> None:
    request = retry_request({name: VALUES[name]})
    assert request.settings or request.overrides.fields
