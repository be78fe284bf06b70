"""Which key goes to which host, and that no key is ever shown."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from runner.config.credentials import ApiKey, find_key, resolve_endpoint
from runner.process.redaction import REDACTOR
from schemas.errors import ExitCode, JobError
from schemas.job import EndpointTable, Job
from schemas.providers import PROFILES

KEY = "k3y+with/odd=chars&more"
ALL = {"DIEYUYUN_API_KEY": "key-d", "IMAGEMILL_API_KEY": "key-i", "OPENAI_API_KEY": "key-o", "MINE": "key-m"}


def found(endpoint: EndpointTable, environ: dict[str, str], cwd: Path = Path("/nonexistent")) -> ApiKey:
    return find_key(endpoint, environ=environ, cwd=cwd)


@pytest.mark.parametrize(
    ("endpoint", "order"),
    [
        ({}, ["DIEYUYUN_API_KEY"]),
        ({"profile": "dieyuyun"}, ["DIEYUYUN_API_KEY", "IMAGEMILL_API_KEY"]),
        ({"profile": "openai"}, ["OPENAI_API_KEY"]),
        ({"base_url": "https://h/v1"}, ["IMAGEMILL_API_KEY", "OPENAI_API_KEY"]),
        ({"base_url": "https://h/v1", "profile": "openai"}, ["IMAGEMILL_API_KEY", "OPENAI_API_KEY"]),
        ({"base_url": "https://h/v1", "api_key_env": "MINE"}, ["MINE"]),
        ({"api_key_env": "MINE"}, ["MINE"]),
    ],
)
def test_the_variables_of_each_endpoint_in_order(endpoint: dict[str, str], order: list[str]) -> None:
    table, environ = EndpointTable(**endpoint), dict(ALL)
    for name in order:
        key = found(table, environ)
        assert (key.value, key.source) == (ALL[name], f"the environment ({name})")
        environ[name] = ""
    with pytest.raises(JobError) as caught:
        found(table, environ)
    assert caught.value.exit_code is ExitCode.USAGE
    assert all(name in caught.value.message for name in order)
    assert "--simulate" in caught.value.fix


def test_dotenv_comes_below_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY='from $dotenv'\nMINE=${HOME}x\n")
    table = EndpointTable(profile="openai")
    assert found(table, ALL, tmp_path).value == "key-o"
    with pytest.raises(JobError, match=r"\.env \(OPENAI_API_KEY\) holds blanks"):
        found(table, {}, tmp_path)
    assert found(EndpointTable(api_key_env="MINE"), {}, tmp_path) == ApiKey("${HOME}x", ".env (MINE)")


def test_a_key_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "key.txt"
    path.write_text(f"  {KEY}\r\nsecond line\n")
    path.chmod(0o600)
    table = EndpointTable(api_key_file="key.txt")
    assert found(table, {}, tmp_path) == ApiKey(KEY, str(path))
    assert caplog.text == ""
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        found(table, {}, tmp_path)
    assert "chmod 600" in caplog.text
    caplog.clear()
    found(table, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, tmp_path)
    assert caplog.text == ""
    path.write_text("\n")
    with pytest.raises(JobError, match="first line is empty"):
        found(table, {}, tmp_path)
    path.unlink()
    with pytest.raises(JobError, match="cannot be read: FileNotFoundError"):
        found(table, {}, tmp_path)


def test_a_named_variable_goes_before_a_key_file(tmp_path: Path) -> None:
    table = EndpointTable(api_key_env="MINE", api_key_file="gone.txt", api_key_command="false")
    assert found(table, ALL, tmp_path).value == "key-m"


def test_a_key_command_runs_without_a_shell(tmp_path: Path) -> None:
    table = EndpointTable(api_key_command=f"{sys.executable} -c \"print('{KEY}'); print('$HOME; true')\"")
    assert found(table, {}, tmp_path) == ApiKey(KEY, "endpoint.api_key_command")


@pytest.mark.parametrize(
    "program",
    [
        f"import sys; print('{KEY}'); sys.exit('{KEY}')",
        f"print(); print('{KEY}')",
        f"print('{KEY} and more')",
        f"import sys; sys.stdout.buffer.write('{KEY}é'.encode('latin-1'))",
    ],
)
def test_g14_a_failing_key_command_shows_nothing_of_its_output(
    tmp_path: Path, program: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JobError) as caught:
        found(EndpointTable(api_key_command=f'{sys.executable} -c "{program}"'), {}, tmp_path)
    shown = caught.value.message + caught.value.fix + "".join(capfd.readouterr())
    assert KEY not in shown


@pytest.mark.parametrize("command", ["/no/such/program", "'unclosed", "", " "])
def test_key_commands_that_cannot_run(tmp_path: Path, command: str) -> None:
    with pytest.raises(JobError, match="cannot be run"):
        found(EndpointTable(api_key_command=command), {}, tmp_path)


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "schlüssel", " front", "back\r"])
def test_g14_a_key_that_cannot_be_one_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(JobError) as caught:
        found(EndpointTable(profile="openai"), {"OPENAI_API_KEY": value})
    assert value.strip() not in caught.value.message + caught.value.fix


def test_g14_a_key_put_where_a_variable_name_belongs_is_not_shown() -> None:
    with pytest.raises(JobError) as caught:
        found(EndpointTable(api_key_env="abcdef0123456789"), {})
    assert "abcdef0123456789" not in caught.value.message + caught.value.fix


def test_g14_a_key_prints_without_its_value() -> None:
    key = ApiKey(KEY, "test")
    assert KEY not in f"{key} {key!r} {[key]}"


def endpoint_of(
    environ: dict[str, str] | None = None, cwd: Path = Path("/nonexistent"), **table: object
) -> object:
    resolved = resolve_endpoint(Job(endpoint=EndpointTable.model_validate(table)), environ or {}, cwd=cwd)
    return resolved.base_url, resolved.profile.name, resolved.profile.prices is not None


def test_endpoints(tmp_path: Path) -> None:
    own = "https://relay.example/v1"
    assert endpoint_of() == (PROFILES["dieyuyun"].base_url, "dieyuyun", True)
    assert endpoint_of({"OPENAI_BASE_URL": own}) == (PROFILES["dieyuyun"].base_url, "dieyuyun", True)
    assert endpoint_of({"OPENAI_BASE_URL": f"{own}/"}, profile="openai") == (own, "openai", True)
    (tmp_path / ".env").write_text(f"OPENAI_BASE_URL={own}\n")
    with pytest.raises(JobError, match=r"OPENAI_BASE_URL \(\.env\)") as caught:
        endpoint_of({}, tmp_path, profile="openai")
    assert "export OPENAI_BASE_URL" in caught.value.fix
    assert endpoint_of({"OPENAI_BASE_URL": own}, tmp_path, profile="openai") == (own, "openai", True)
    assert endpoint_of({}, tmp_path) == (PROFILES["dieyuyun"].base_url, "dieyuyun", True)
    assert endpoint_of(base_url=own) == (own, "relay.example", False)
    assert endpoint_of(base_url=own, profile="openai") == (own, "openai", True)
    assert endpoint_of(base_url=own, profile="dieyuyun") == (own, "dieyuyun", True)
    assert endpoint_of(base_url="https://api.openai.com/v1") == ("https://api.openai.com/v1", "openai", True)


def test_an_unusable_openai_base_url_is_refused_without_showing_it() -> None:
    with pytest.raises(JobError, match="OPENAI_BASE_URL must not hold a user name") as caught:
        endpoint_of({"OPENAI_BASE_URL": f"https://u:{quote(KEY, safe='')}@h/v1"}, profile="openai")
    assert "k3y" not in caught.value.message


@pytest.mark.parametrize("key", [f'"{KEY}"', f"'{KEY}'", f"“{KEY}”", f"`{KEY}`", f'{KEY}"'])
def test_a_key_in_quotes_is_not_sent(key: str, tmp_path: Path) -> None:
    """As `docker --env-file` passes on what a shell would take away. The message shows neither form of the key."""
    with pytest.raises(
        JobError, match=r"the key from the environment \(OPENAI_API_KEY\) is in quotes"
    ) as error:
        found(EndpointTable(profile="openai"), {"OPENAI_API_KEY": key})
    assert "without them" in error.value.fix and KEY not in error.value.message + error.value.fix
    assert KEY not in REDACTOR.text(f"the key {KEY}")
    (tmp_path / "key").write_text(key)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(JobError, match="is in quotes"):
        found(EndpointTable(api_key_file="key"), {}, tmp_path)
