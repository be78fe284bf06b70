"""A job is read from four layers, checked as a whole, and written back without loss and without secrets."""

from __future__ import annotations

import json
import logging
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from runner.config.json_schema import job_keys
from runner.config.loader import job_json_schema, job_toml, load_job, read_out_job
from runner.config.toml_values import read_setting
from schemas.errors import JobError
from schemas.job import Job, chooses_outside
from schemas.secret_names import NOT_KEPT
from tests.support.jobs import load, mistakes

SECRET = "sk-proj-0123456789abcdefghij"


def test_each_layer_goes_before_the_one_below(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "IMAGEMILL_LIMITS__IPM=2\nIMAGEMILL_LIMITS__RPM=2\nIMAGEMILL_LIMITS__TPM=2\n"
    )
    environ = {"IMAGEMILL_LIMITS__RPM": "3", "IMAGEMILL_LIMITS__TPM": "3"}
    job = load(tmp_path, "[limits]\nipm = 1\nrpm = 1\ntpm = 1\nconcurrency = 1\n", {"limits.tpm": 4}, environ)
    assert (job.limits.concurrency, job.limits.ipm, job.limits.rpm, job.limits.tpm) == (1, 2, 3, 4)


OUTSIDE = {
    "RUN__NEW_ENDPOINT": "true",
    "MANIFEST": "p.csv",
    "OUT": "elsewhere",
    "ENDPOINT__PROFILE": "xai",
    "ENDPOINT__BASE_URL": "https://other.example/v1",
    "ENDPOINT__API_KEY_ENV": "AWS_SECRET_ACCESS_KEY",
    "ENDPOINT__API_KEY_FILE": "/etc/hostname",
    "ENDPOINT__API_KEY_COMMAND": "touch executed",
    "ENDPOINT__CA_FILE": "ca.pem",
    "ENDPOINT__ALLOW_HTTP": "true",
    "ENDPOINT__DOWNLOAD_HOSTS": '["10.0.0.1"]',
    "RUN__METRICS_FILE": "m.prom",
    "RUN__PING_URL": "https://other.example/ping",
    "NOTIFY__URLS": "json://other.example",
    "SIMULATOR__SCENARIO": "s.toml",
}
"""Variables that choose a host, a command or a file, and a value for each."""
INSIDE = {
    "LIMITS__RPM": "60",
    "LIMITS__SHARE": "mine",
    "BUDGET__MAX_COST": "3",
    "REQUEST__QUALITY": "low",
    "ENDPOINT__TIMEOUT": "60",
    "RUN__DRAIN": "5",
    "SIMULATE": "true",
    "INPUT__LIMIT": "3",
    "NOTIFY__ON": "never",
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_file_dotenv_chooses_no_host_command_or_file(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"IMAGEMILL_{name}='{OUTSIDE[name]}'\n")
    message = mistakes(tmp_path)
    assert message.startswith(name.lower().replace("__", "."))
    assert "(.env): a file .env gives keys and limits" in message
    assert f"export IMAGEMILL_{name}" in message
    load(tmp_path, environ={f"IMAGEMILL_{name}": OUTSIDE[name]})  # the environment decides, and .env nothing


@pytest.mark.parametrize("name", INSIDE)
def test_a_file_dotenv_gives_limits(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"IMAGEMILL_{name}='{INSIDE[name]}'\n")
    load(tmp_path)


def test_every_setting_is_known_to_choose_something_outside_or_not() -> None:
    """A new setting that names a host, a command or a file is to be marked."""
    marked = {key for key in job_keys() if chooses_outside(key)}
    assert marked == {name.lower().replace("__", ".") for name in OUTSIDE}
    suspicious = {
        key for key in job_keys() if re.search(r"url|host|file|path|command|manifest|^out$|scenario", key)
    }
    assert suspicious - marked == set()


def test_a_manifest_is_told_from_a_job_file(tmp_path: Path) -> None:
    assert load_job("prompts.csv", {}, environ={}, cwd=tmp_path).manifest == "prompts.csv"
    (tmp_path / "J.TOML").write_text("manifest = 'x.csv'\n")
    assert load_job("J.TOML", {}, environ={}, cwd=tmp_path).manifest == "x.csv"
    url = "s3://bucket/list.toml"
    assert load_job(url, {}, environ={}, cwd=tmp_path).manifest == url


@pytest.mark.parametrize(
    ("toml", "told", "fix"),
    [
        ("a = 1\nb = = 2\n", "job.toml:2 is not valid TOML: Invalid value: b = (value not shown)", "in quotes"),
        ("a = 1\na = 2\n", "job.toml:2 is not valid TOML", "see https://toml.io"),
        ('x = """\n', "job.toml:1 is not valid TOML: Unterminated string", "toml.io"),
        ("simulate = true\nout = runs/x\n", "job.toml:2 is not valid TOML: Invalid value: out = runs/x",
         'texts stand in quotes: out = "runs/x"'),
        ("[limits\nrpm = 5\n", "job.toml:1 is not valid TOML", "toml.io"),
        (f"[endpoint]\napi_key = {SECRET}\n", "job.toml:2 is not valid TOML: Invalid value: api_key = (value not shown)",
         "texts stand in quotes"),
    ],
)  # fmt: skip
def test_broken_toml_names_the_line_and_shows_it(tmp_path: Path, toml: str, told: str, fix: str) -> None:
    with pytest.raises(JobError) as caught:
        load(tmp_path, toml)
    assert told in caught.value.message and fix in caught.value.fix
    assert SECRET not in caught.value.message + caught.value.fix


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"no job file gone\.toml"):
        load_job("gone.toml", {}, environ={}, cwd=tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"out = '\xe9'\n")
    with pytest.raises(JobError, match="not UTF-8"):
        load_job("latin.toml", {}, environ={}, cwd=tmp_path)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(JobError, match="cannot be read"):
        load_job("folder.toml", {}, environ={}, cwd=tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_bytes(b"\xef\xbb\xbfmanifest = 'a.csv'\n")
    assert load_job("job.toml", {}, environ={}, cwd=tmp_path).manifest == "a.csv"


@pytest.mark.parametrize(
    "toml",
    [
        f"[endpoint]\napi_key = '{SECRET}'\n",
        f"[endpoint]\napi_key_env = '{SECRET}'\n",
        f"[endpoint]\nbase_url = 'https://user:{SECRET}@host/v1'\n",
        f"[endpoint]\nbase_url = 'https://host/v1?key={SECRET}'\n",
        f"api_token = 'x{SECRET}'\n",
        f"model = '{SECRET}'\n",
        f"[request]\nauthorization = 'Bearer {SECRET}'\nsize = 5\n",
        f"x = = '{SECRET}'\n",
    ],
)
def test_g14_no_message_shows_a_key(tmp_path: Path, toml: str) -> None:
    assert SECRET not in mistakes(tmp_path, toml)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://host/v1", "must begin with https://"),
        ("host/v1", "must begin with https://"),
        ("https:///v1", "has no host"),
        ("https://user@host/v1", "must not hold a user name"),
        ("https://host/v1?x=1", "must not hold a query"),
        ("https://host/v1#x", "must not hold a query"),
        ("https://host:99999/v1", "is not a URL"),
        ("https://ho st/v1", "holds blanks"),
        ("http://host/v1", "is plain http"),
        ("http://10.0.0.1/v1", "is plain http"),
        ("http://localhost.evil.example/v1", "is plain http"),
    ],
)
def test_base_urls_that_are_refused(tmp_path: Path, url: str, reason: str) -> None:
    assert reason in mistakes(tmp_path, None, {"endpoint.base_url": url})


@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        ("127.0.0.1:8790/v1", "--base-url http://127.0.0.1:8790/v1"),
        ("host.example/v1/images/generations", "--base-url https://host.example/v1"),
        ("http://host.example/v1", "--base-url https://host.example/v1"),
        (f"https://me:{SECRET}@host.example/v1?key={SECRET}", "--base-url https://host.example/v1"),
        ("ho st", "--base-url URL: any other service, up to its version path (…/v1)"),
    ],
)
def test_the_fix_of_a_base_url_can_be_typed(tmp_path: Path, typed: str, fix: str) -> None:
    with pytest.raises(JobError) as caught:
        load(tmp_path, None, {"endpoint.base_url": typed})
    assert caught.value.message.startswith("--base-url ")
    assert caught.value.fix == fix


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://Host.Example/v1/", "https://host.example/v1"),
        ("HTTPS://host", "https://host"),
        ("https://host/v1/images/generations", "https://host/v1"),
        ("https://host/v1/images/generations?async=true", "https://host/v1"),
        ("https://host/v1/models", "https://host/v1"),
        ("https://host/v1/models/gpt-image-2", "https://host/v1"),
        ("https://host/v1/chat/completions/", "https://host/v1"),
        (
            "https://host/openai/deployments/d/images/generations?api-version=2025-04-01-preview",
            "https://host/openai/deployments/d?api-version=2025-04-01-preview",
        ),
        ("http://127.0.0.1:8000/v1//", "http://127.0.0.1:8000/v1"),
        ("http://localhost/v1", "http://localhost/v1"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
    ],
)
def test_base_urls_that_are_taken(tmp_path: Path, url: str, clean: str) -> None:
    assert load(tmp_path, None, {"endpoint.base_url": url}).endpoint.base_url == clean


def test_plain_http_elsewhere_needs_allow_http(tmp_path: Path) -> None:
    given = {"endpoint.base_url": "http://relay.example/v1", "endpoint.allow_http": "true"}
    assert load(tmp_path, None, given).endpoint.base_url == "http://relay.example/v1"


def test_environment_variables_of_other_purposes_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {
        "IMAGEMILL_API_KEY": SECRET,
        "IMAGEMILL_MINE": SECRET,
        "HOME": "/",
        "IMAGEMILL_LIMITS__RPM": "",
    }
    with caplog.at_level(logging.WARNING):
        job = load(tmp_path, None, {"endpoint.api_key_env": "IMAGEMILL_MINE"}, environ)
    assert job.limits.rpm is None
    assert caplog.text == ""


def test_a_mistyped_variable_is_a_mistake_and_an_unknown_one_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(
        JobError, match=r"IMAGEMILL_LIMIT__RPM sets no key .*did you mean IMAGEMILL_LIMITS__RPM"
    ) as caught:
        load(tmp_path, None, {}, {"IMAGEMILL_LIMIT__RPM": SECRET})
    assert caught.value.fix == "unset IMAGEMILL_LIMIT__RPM; export IMAGEMILL_LIMITS__RPM=…"
    assert SECRET not in caught.value.message
    with caplog.at_level(logging.WARNING):
        load(tmp_path, None, {}, {"IMAGEMILL_MANIFST": "x"})
    assert [record.getMessage() for record in caplog.records] == [
        "environment variable IMAGEMILL_MANIFST sets no key of the job and is ignored;"
        " did you mean IMAGEMILL_MANIFEST?"
    ]


def test_variables_reach_every_kind_of_key(tmp_path: Path) -> None:
    environ = {
        "IMAGEMILL_MANIFEST": "a.csv",
        "IMAGEMILL_SIMULATE": "true",
        "IMAGEMILL_ENDPOINT__DOWNLOAD_HOSTS": '["a.example", "b.example:8443"]',
        "IMAGEMILL_REQUEST__PARAM__SEED": "5",
        "IMAGEMILL_REQUEST__PARAM__STYLE": "vivid",
        "IMAGEMILL_RETRY__GIVE_UP": "1h30m",
        "IMAGEMILL_LIMITS": "{rpm = 7}",
    }
    job = load(tmp_path, None, {}, environ)
    assert (job.manifest, job.simulate, job.retry.give_up, job.limits.rpm) == ("a.csv", True, 5400.0, 7.0)
    assert job.endpoint.download_hosts == ("a.example", "b.example:8443")
    assert job.request.param == {"seed": 5, "style": "vivid"}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("request.param.seed", "5", 5),
        ("request.param.cfg", "1.5", 1.5),
        ("request.param.on", "true", True),
        ("request.param.style", "vivid", "vivid"),
        ("request.param.style", '"5"', "5"),
        ("request.param.nested", "{a = [1, 2]}", {"a": [1, 2]}),
        ("request.param.day", "2026-11-22", "2026-11-22"),
        ("request.param.x", "nan", "nan"),
        ("request.param.x", "1\ny = 2", "1\ny = 2"),
        ("request.param.x", "", ""),
        ("request.model", "5", "5"),
        ("columns.id", "1e5", "1e5"),
        ("limits.rpm", "60", "60"),
        ("endpoint.download_hosts", '["a"]', ["a"]),
    ],
)
def test_values_are_read_as_toml_and_as_text_where_they_are_not(key: str, text: str, value: object) -> None:
    read = read_setting(key, text)
    assert (read, type(read)) == (value, type(value))


def test_paths_of_a_job_file_are_beside_it_when_they_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "nightly"
    folder.mkdir()
    (folder / "prompts.csv").write_text("prompt\n")
    (folder / "job.toml").write_text(
        "manifest = 'prompts.csv'\nout = 'runs/x'\nsimulator.scenario = 'here.toml'\n"
    )
    job = load_job("nightly/job.toml", {}, environ={}, cwd=tmp_path)
    assert (job.manifest, job.out, job.simulator.scenario) == ("nightly/prompts.csv", "runs/x", "here.toml")
    (folder / "job.toml").write_text("manifest = '*.csv'\n")
    assert load_job("nightly/job.toml", {}, environ={}, cwd=tmp_path).manifest == "nightly/*.csv"
    assert load_job("nightly/job.toml", {"manifest": "*.csv"}, environ={}, cwd=tmp_path).manifest == "*.csv"


def test_the_job_file_of_an_output_folder_means_that_folder(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/ledger.sqlite").write_bytes(b"")
    (tmp_path / "moved/manifest.parquet").write_bytes(b"")
    (tmp_path / "moved/job.toml").write_text("manifest = '/gone/old/manifest.parquet'\nout = '/gone/old'\n")
    job = load_job("moved/job.toml", {}, environ={}, cwd=tmp_path)
    assert (job.out, job.manifest) == ("moved", "moved/manifest.parquet")
    assert load_job("moved/job.toml", {"out": "other"}, environ={}, cwd=tmp_path).out == "other"


def test_a_job_survives_being_written_and_read(tmp_path: Path) -> None:
    given = {
        "manifest": str(tmp_path / 'odd "name"\n東京.csv'),
        "out": "runs/{date}",
        "simulate": True,
        "request.param.a.b": {"nested": [1, 2.5, {"deep": "x\x7f"}], 'quote"d': True},
        "request.size": "1024x1024",
        "endpoint.profile": "dieyuyun",
        "endpoint.base_url": "https://relay.example/v1",
        "endpoint.download_hosts": ["a", "b"],
        "limits.rpm": 0.1,
        "budget.max_cost": 1e16,
        "retry.give_up": "6h",
    }
    job = load(tmp_path, None, given)
    (tmp_path / "job.toml").write_text(job_toml(job))
    again = read_out_job(tmp_path)
    assert again.model_dump() == {**job.model_dump(), "out": str(tmp_path)}
    assert "profile" in again.endpoint.model_fields_set
    assert job_toml(again) == job_toml(job.model_copy(update={"out": str(tmp_path)}))


def test_the_written_job_holds_what_was_chosen_and_no_secret(tmp_path: Path) -> None:
    job = load(
        tmp_path,
        None,
        {
            "manifest": "https://bucket.example/p.csv?X-Amz-Signature=abcdef",
            "endpoint.api_key_command": f"echo {SECRET}",
            "limits.rpm": 60,
        },
    )
    document = tomllib.loads(job_toml(job))
    assert document == {
        "manifest": "https://bucket.example/p.csv",
        "out": "runs/{manifest_stem}",
        "simulate": False,
        "endpoint": {"api_key_command": NOT_KEPT},
        "limits": {"rpm": 60.0},
    }


def test_a_folder_without_job_is_no_output_folder(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"no job\.toml"):
        read_out_job(tmp_path)


@given(
    st.recursive(
        st.text(st.characters(codec="utf-8"))
        | st.integers()
        | st.booleans()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=8,
    )
)
def test_any_value_survives_toml(value: Any) -> None:
    job = Job.model_validate({"request": {"param": {"x": value}}})
    assert tomllib.loads(job_toml(job))["request"]["param"]["x"] == value


def test_a_retry_without_budget_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(tmp_path, None, {"retry.on_ambiguous": "retry"})
    assert "ambiguous_budget" in caplog.text


class TestSchema:
    @pytest.fixture
    def validator(self) -> Any:
        return pytest.importorskip("jsonschema").Draft202012Validator

    def test_it_is_a_schema_that_describes_every_key(self, validator: Any) -> None:
        validator.check_schema(job_json_schema())
        assert [key for key, leaf in job_keys().items() if not leaf.get("description")] == []
        assert "null" not in json.dumps(job_json_schema())

    @pytest.mark.parametrize(
        ("document", "fits"),
        [
            ({"manifest": "a", "retry": {"give_up": "1h30m"}, "run": {"max_duration": 60}}, True),
            ({"request": {"n": 3, "param": {"x": [1]}}, "endpoint": {"timeout": "90s"}}, True),
            ({"retry": {"give_up": "soon"}}, False),
            ({"retry": {"give_up": -1}}, False),
            ({"limits": {"rpn": 1}}, False),
            ({"request": {"n": 11}}, False),
            ({"endpoint": {"profile": "opneai"}}, False),
        ],
    )
    def test_an_editor_agrees_with_the_command(
        self, document: dict[str, Any], fits: bool, validator: Any, tmp_path: Path
    ) -> None:
        assert validator(job_json_schema()).is_valid(document) is fits
        if fits:
            load(tmp_path, tomli_w.dumps(document))
        else:
            mistakes(tmp_path, tomli_w.dumps(document))


PRICES = '[endpoint.prices]\nsource = "mine"\nimage = [{model = "m", quality = "low", usd = 0.25}]\n'


def test_a_table_of_prices_is_read_and_written_as_a_whole(tmp_path: Path) -> None:
    job = load(tmp_path, PRICES)
    assert job.endpoint.prices is not None
    assert [(price.model, price.size, price.usd) for price in job.endpoint.prices.image] == [("m", "*", 0.25)]
    assert load(tmp_path, job_toml(job)).endpoint.prices == job.endpoint.prices
