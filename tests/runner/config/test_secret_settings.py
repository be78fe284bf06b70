"""Which settings are secrets is a property of the settings, and a secret shows nowhere, however it is written (G14)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from pydantic import BaseModel

from runner.config.json_schema import job_json_schema, job_keys
from runner.config.loader import load_job
from runner.config.problem_report import JobProblem, job_error
from runner.config.toml_writer import job_toml
from runner.process.redaction import REDACTOR
from runner.retry.request import RetryRequest
from schemas.errors import JobError
from schemas.job import Job, secrecy
from schemas.secrecy import Secrecy, secrecy_in
from tests.support.commandline import AT_ONCE, CommandLine

TOKEN = "hush-3f9c2a71b60d"
WORD = "hunterpass"
URL = f"json://127.0.0.1/{TOKEN}/{WORD}"
"""Nothing in it looks like a secret: no user name, no query, no key."""

FILES = {
    "a table": f'[notify]\nurls = {{mail = "{URL}"}}',
    "a table of its own": f'[notify.urls]\nmail = "{URL}"',
    "tables in a list": f'[[notify.urls]]\nmail = "{URL}"',
    "a list in a list": f'[notify]\nurls = [["{URL}"]]',
    "a number among them": f'[notify]\nurls = ["{URL}", 5]',
    "an unknown service": f'[notify]\nurls = ["nosuch{URL}"]',
    "not the key": f'[notify]\nurl = "{URL}"',
    "a key beside it": f'[notify]\nurls = ["{URL}"]\nto = ["{URL}"]',
    "a mistake beside it": f'[notify]\nurls = ["{URL}"]\non = "sometimes"',
    "in place of the table": f'notify = "{URL}"',
    "a list of tables": f'[[notify]]\nurls = ["{URL}"]',
    "no table": f'urls = ["{URL}"]',
    "not the table": f'[notfy]\nurls = ["{URL}"]',
    "as a key": f'[notify]\n"{URL}" = true',
    "no closing quote": f'[notify]\nurls = ["{URL}]',
    "no quotes": f"[notify]\nurls = {URL}",
    "twice": f'[notify]\nurls = "{URL}"\nurls = "{URL}"',
    "as two tables": f'[notify]\nurls = "{URL}"\n[notify.urls]\nx = 1',
    "a ping that is a list": f'[run]\nping_url = ["http://127.0.0.1/{TOKEN}/{WORD}"]',
    "a ping that is none": f'[run]\nping_url = "{URL}"',
    "not the ping's key": f'[run]\nping = "http://127.0.0.1/{TOKEN}/{WORD}"',
    "in a body field": f'[request.param]\nprompt = "{URL}"',
    "in a task's query": f'[endpoint.task]\nsubmit_query = "{URL}"',
    "in place of a task": f'[endpoint]\ntask = ["{URL}"]',
    "in place of a variable's name": f'[endpoint]\napi_key_env = "{URL}"',
}
VARIABLES = {
    "a list in a list": ("IMAGEMILL_NOTIFY__URLS", f'[["{URL}"]]'),
    "a number among them": ("IMAGEMILL_NOTIFY__URLS", f'["{URL}", 5]'),
    "a table": ("IMAGEMILL_NOTIFY__URLS", f'{{mail = "{URL}"}}'),
    "half a list": ("IMAGEMILL_NOTIFY__URLS", f'["nosuch{URL}"'),
    "below the key": ("IMAGEMILL_NOTIFY__URLS__0", URL),
    "in place of the table": ("IMAGEMILL_NOTIFY", URL),
    "not the key": ("IMAGEMILL_NOTIFY__URL", URL),
    "one underscore": ("IMAGEMILL_NOTIFY_URLS", URL),
    "a ping that is none": ("IMAGEMILL_RUN__PING_URL", URL),
}


def shows_nothing(command: CommandLine, *arguments: str, **environ: str) -> None:
    """Run it; neither part of the URL is printed, or in a file that is not one of the inputs."""
    before = set(command.cwd.rglob("*"))
    ended = command(*arguments, "--out", "out", "--json", "-vv", environ=environ)
    assert (TOKEN in ended.out + ended.err, WORD in ended.out + ended.err) == (False, False)
    assert ended.code in (0, 2), ended.err
    written = [path for path in {*command.cwd.rglob("*")} - before if path.is_file()]
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
    assert ended.code == 2 or written


@pytest.fixture
def manifest(command: CommandLine) -> str:
    (command.cwd / "p.csv").write_text("prompt\na fox\n")
    return "p.csv"


def message_of(cwd: Path, source: str | None, given: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """What loading the job says, the error and its fix; empty when the job is valid."""
    try:
        load_job(source, given, environ=environ, cwd=cwd)
    except JobError as error:
        return f"{error.message} {error.fix}"
    return ""


def anew(text: str) -> tuple[str, str]:
    """The text with a token of its own, and that token: one that an earlier test registered would be hidden anyway."""
    token = "hush-" + blake2b(text.encode(), digest_size=6).hexdigest()
    return text.replace(TOKEN, token), token


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_a_job_file(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    written, token = anew(text)
    (tmp_path / "job.toml").write_text(f'manifest = "p.csv"\n{written}\n')
    said = message_of(tmp_path, "job.toml", {}, {}) + caplog.text
    assert (token in said, WORD in said) == (False, False)


@pytest.mark.parametrize("place", ["environment", ".env"])
@pytest.mark.parametrize(("name", "value"), VARIABLES.values(), ids=VARIABLES)
def test_a_variable(
    tmp_path: Path, name: str, value: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    value, token = anew(value + place)
    value = value.removesuffix(place)
    if place == ".env":
        (tmp_path / ".env").write_text(f"{name}='{value}'\n")
    said = message_of(tmp_path, None, {}, {} if place == ".env" else {name: value}) + caplog.text
    assert (token in said, WORD in said) == (False, False)


@pytest.mark.parametrize(
    ("key", "value"), [("notify.urls", [[URL]]), ("notify.url", URL), ("run.ping_url", URL), ("notify", URL)]
)
def test_an_option(tmp_path: Path, key: str, value: Any) -> None:
    text, token = anew(f"option {key} {URL}")
    url = text.rpartition(" ")[2]
    said = message_of(tmp_path, None, {key: [[url]] if isinstance(value, list) else url}, {})
    assert said
    assert (token in said, WORD in said) == (False, False)


@pytest.mark.parametrize(
    "shape", ["a number among them", "an unknown service", "no quotes", "a ping that is none"]
)
def test_the_command_with_a_job_file(command: CommandLine, manifest: str, shape: str) -> None:
    pytest.importorskip("apprise")
    (command.cwd / "job.toml").write_text(f'manifest = "{manifest}"\n{FILES[shape]}\n')
    shows_nothing(command, "run", "job.toml", "--simulate")


def test_the_command_with_a_variable_that_holds_half_a_list(command: CommandLine, manifest: str) -> None:
    pytest.importorskip("apprise")
    shows_nothing(command, "run", manifest, "--simulate", IMAGEMILL_NOTIFY__URLS=VARIABLES["half a list"][1])


@pytest.mark.parametrize("line", [f"IMAGEMILL_NOTIFY__URLS='{URL}", f"IMAGEMILL_NOTIFY__URLS {URL}"])
def test_the_command_with_a_line_of_dotenv_that_cannot_be_read(
    command: CommandLine, manifest: str, line: str
) -> None:
    (command.cwd / ".env").write_text(f"{line}\n")
    shows_nothing(command, "run", manifest, *AT_ONCE, "--simulate", "--set", "notify.on=never")


SHOWN = {Secrecy.OPEN: True, Secrecy.PRIVATE: False, Secrecy.SECRET: False}


@pytest.mark.parametrize("key", sorted(job_keys()))
def test_messages_show_what_is_open_and_nothing_else(key: str) -> None:
    error = job_error([JobProblem(key, "is wrong")], {key: "a-value-of-mine"}, {})
    assert ("a-value-of-mine" in error.message) is SHOWN[secrecy(key)]


def test_secret_settings_are_write_only_in_the_schema() -> None:
    marked = {key for key, leaf in job_keys().items() if leaf.get("writeOnly")}
    assert marked == {key for key in job_keys() if secrecy(key) is Secrecy.SECRET}
    assert marked == {"notify.urls", "run.ping_url"}
    assert json.dumps(job_json_schema()).count('"writeOnly"') == 2


def test_job_toml_holds_secrets_by_name_only() -> None:
    job = Job.model_validate(
        {"notify": {"urls": [URL, "env:MINE"]}, "run": {"ping_url": URL}, "request": {"param": {"x": 1}}}
    )
    written = tomllib.loads(job_toml(job))
    assert (written["notify"], "run" in written) == ({"urls": ["env:MINE"]}, False)
    assert written["request"] == {"param": {"x": 1}}


def test_a_private_setting_in_which_a_secret_is_found_is_left_out_of_job_toml() -> None:
    REDACTOR.register("s3cret-of-the-vault")
    commands = {"vault get": True, "vault --password s3cret-of-the-vault get": False}
    for command, kept in commands.items():
        text = job_toml(Job.model_validate({"endpoint": {"api_key_command": command}}))
        assert ("vault" in text) is kept


def test_the_ledger_keeps_no_private_setting_of_a_retry() -> None:
    settings = {"endpoint.api_key_command": f"vault {WORD}", "limits.rpm": "5", "request.param.seed": 1}
    told = json.loads(RetryRequest(settings=settings).command(other_endpoint=False))
    assert told["settings"] == {**settings, "endpoint.api_key_command": "[redacted]"}


def test_a_secret_is_hidden_as_soon_as_it_is_read(tmp_path: Path) -> None:
    hidden = "json://127.0.0.1/0ther-hush-77ab12"
    with pytest.raises(JobError):
        load_job(None, {"notify.urls": [[hidden]]}, environ={}, cwd=tmp_path)
    assert REDACTOR.text(f"at {hidden}, 0ther-hush-77ab12") == "at [redacted], [redacted]"


class Inner(BaseModel):
    secret: Annotated[str, Secrecy.SECRET] = ""
    private: Annotated[str | None, Secrecy.PRIVATE] = None
    plain: int = 0


class Outer(BaseModel):
    inner: Inner | None = None
    plain: str = ""
    private: Annotated[dict[str, str], Secrecy.PRIVATE] = {}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("plain", Secrecy.OPEN),
        ("private.any.name", Secrecy.PRIVATE),
        ("inner.plain", Secrecy.OPEN),
        ("inner.private", Secrecy.PRIVATE),
        ("inner.secret", Secrecy.SECRET),
        ("inner.secret.below", Secrecy.SECRET),
        ("inner", Secrecy.SECRET),
        ("unknown", Secrecy.PRIVATE),
        ("inner.unknown", Secrecy.PRIVATE),
    ],
)
def test_how_secret_a_key_is(key: str, kind: Secrecy) -> None:
    assert secrecy_in(Outer, key) is kind


def test_no_marker_is_lost_inside_a_type() -> None:
    """`Annotated[str, SECRET] | None` would hide the marker from pydantic's metadata; it belongs around the whole."""

    def markers(kind: Any) -> int:
        return sum(isinstance(each, Secrecy) for each in getattr(kind, "__metadata__", ())) + sum(
            map(markers, get_args(kind))
        )

    tables = [Job, *(field.annotation for field in Job.model_fields.values())]
    for table in tables:
        for field in getattr(table, "model_fields", {}).values():
            assert markers(field.annotation) == 0
