"""Secrets among the fields of a request are sent, and stand in no file; the key is no such field."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from runner.config.credentials import find_key
from runner.config.job_secrets import check_secrets, register_secrets
from runner.config.loader import load_job, read_out_job
from runner.config.toml_writer import job_toml
from runner.process.redaction import REDACTOR
from runner.retry.request import RetryRequest
from runner.workspace.folder import open_workspace
from schemas.errors import ExitCode, JobError
from schemas.job import EndpointTable, Job
from schemas.secret_names import NOT_KEPT
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine
from tests.support.imageservice import ImageService

KEY = "sk-k3y-0f-ours-123456"
TOKEN = "t0ken-0f-the-gateway"
FIELDS: dict[str, Any] = {"style": "vivid", "access_token": TOKEN, "webhook": {"auth": {"password": TOKEN}}}
TASK = {"submit_query": {"api_key": TOKEN, "v": "2"}, "submit_body": {"token": TOKEN, "async": True}}


def job(**tables: Any) -> Job:
    """A job with these tables."""
    return Job.model_validate({"manifest": "p.csv", **tables})


def test_job_toml_keeps_the_names_of_secrets_and_the_values_of_the_others() -> None:
    text = job_toml(
        job(request={"param": FIELDS}, endpoint={"task": TASK, "rename_params": {"key": "prompt"}})
    )
    assert TOKEN not in text
    written = tomllib.loads(text)
    assert written["request"]["param"] == {
        "style": "vivid",
        "access_token": NOT_KEPT,
        "webhook": {"auth": {"password": NOT_KEPT}},
    }
    assert written["endpoint"]["task"]["submit_query"] == {"api_key": NOT_KEPT, "v": "2"}
    assert written["endpoint"]["task"]["submit_body"] == {"token": NOT_KEPT, "async": True}
    assert written["endpoint"]["rename_params"] == {"key": "prompt"}


@pytest.mark.parametrize(
    "tables",
    [
        {"request": {"param": {"user": KEY}}},
        {"request": {"param": {"a": [{"b": f"Bearer {KEY}"}]}}},
        {"request": {"param": {KEY: "x"}}},
        {"endpoint": {"task": {"submit_query": {"k": KEY}}}},
        {"endpoint": {"task": {"submit_body": {"k": {"deep": KEY}}}}},
    ],
)
def test_the_key_as_a_field_of_the_body_is_refused_and_not_shown(tables: dict[str, Any]) -> None:
    with pytest.raises(JobError, match="holds the API key") as error:
        check_secrets(job(**tables), KEY)
    assert error.value.exit_code is ExitCode.USAGE
    assert KEY not in f"{error.value.message} {error.value.fix}"
    check_secrets(job(**tables), "another-key-altogether")


def test_what_job_toml_does_not_keep_is_to_be_given_again(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(job_toml(job(request={"param": FIELDS})))
    with pytest.raises(JobError) as error:
        check_secrets(read_out_job(tmp_path), KEY)
    assert "request.param.access_token is a secret, and job.toml does not keep it" in error.value.message
    assert "--param access_token=" in error.value.fix
    again = {"request.param.access_token": TOKEN, "request.param.webhook": "none"}
    check_secrets(read_out_job(tmp_path, again), KEY)


def test_a_command_that_holds_a_secret_is_to_be_given_again(tmp_path: Path) -> None:
    command = f"vault --password {TOKEN} get key"
    (tmp_path / "job.toml").write_text(job_toml(job(endpoint={"api_key_command": command})))
    assert TOKEN not in (tmp_path / "job.toml").read_text()
    with pytest.raises(JobError, match=r"job\.toml does not keep it"):
        find_key(read_out_job(tmp_path).endpoint, environ={"IMAGEMILL_API_KEY": KEY}, cwd=tmp_path)
    plain = EndpointTable(api_key_command=f"echo {KEY}")
    assert find_key(plain, environ={}, cwd=tmp_path).value == KEY


def test_secrets_among_the_fields_are_hidden_wherever_they_show(tmp_path: Path) -> None:
    register_secrets({"request.param.access_token": "hush-77ab12-x", "endpoint.api_key_env": "MY_VARIABLE"})
    assert REDACTOR.text("hush-77ab12-x of MY_VARIABLE") == "[redacted] of MY_VARIABLE"
    load_job("p.csv", {"request.param.session_token": "hush-99cd34-y"}, environ={}, cwd=tmp_path)
    assert "hush" not in REDACTOR.text("hush-99cd34-y")


def test_the_ledger_keeps_no_secret_of_a_retry() -> None:
    settings = {"request.param.access_token": TOKEN, "request.param.style": "x", "limits.rpm": "5"}
    recorded = json.loads(RetryRequest(settings=settings).command(other_endpoint=False))
    assert recorded["settings"] == {**settings, "request.param.access_token": NOT_KEPT}


@pytest.mark.parametrize(
    ("tables", "mode"),
    [
        ({}, 0o644),
        ({"request": {"size": "auto"}}, 0o644),
        ({"endpoint": {"api_key_env": "MINE"}}, 0o644),
        ({"request": {"param": {"style": "x"}}}, 0o600),
        ({"endpoint": {"task": TASK}}, 0o600),
        ({"endpoint": {"api_key_command": "pass show x"}}, 0o600),
    ],
)
def test_a_job_toml_that_may_hold_secrets_is_private(
    tmp_path: Path, tables: dict[str, Any], mode: int
) -> None:
    (tmp_path / "out").mkdir(mode=0o755)
    with open_workspace(tmp_path / "out", job(**tables)):
        pass
    assert stat.S_IMODE((tmp_path / "out/job.toml").stat().st_mode) == mode


def test_a_token_among_the_fields_is_sent_and_stands_nowhere(command: CommandLine) -> None:
    (command.cwd / "prompts.csv").write_text("id,prompt\na,a fox\nb,an owl\n")
    with ImageService() as service:
        fixed = ("run", "prompts.csv", "--base-url", service.base_url, "--out", "out", "-q")
        given = ("--param", f"access_token={TOKEN}", "--param", "user=me")
        assert command(*fixed, "--limit", "1", *given, environ=WITH_CANARY).code == 0
        again = command(*fixed, *given, environ=WITH_CANARY)
        assert (again.code, again.err) == (0, "")
        assert [(body["access_token"], body["user"]) for body in service.bodies] == [(TOKEN, "me")] * 2
        written = [path for path in (command.cwd / "out").rglob("*") if path.is_file()]
        assert [path.name for path in written if TOKEN.encode() in path.read_bytes()] == []
        refused = command("run", "out/job.toml", environ=WITH_CANARY)
        assert (refused.code, "--param access_token=" in refused.err) == (2, True)
        told = (command("status", "out"), command("history", "out", "--json"), command("verify", "out"))
        assert [each.code for each in told] == [0, 0, 0]
        assert not any(TOKEN in each.out + each.err for each in told)
