"""A job is read from four layers, checked as a whole, and written back without loss and without secrets."""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config.json_schema import job_keys
from runner.config.loader import job_json_schema, job_toml, load_job, out_folder, read_out_job
from runner.config.out_folder import manifest_stem
from runner.config.problems import nearest_key
from runner.config.toml_values import read_setting
from runner.config.toml_writer import toml_value
from schemas.errors import ExitCode, JobError
from schemas.job import Job

TODAY = date(2026, 11, 22)


def load(
    cwd: Path,
    toml: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Job:
    if toml is not None:
        (cwd / "job.toml").write_text(toml)
    return load_job(None if toml is None else "job.toml", overrides or {}, environ=environ or {}, cwd=cwd)


def mistakes(
    cwd: Path,
    toml: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    with pytest.raises(JobError) as caught:
        load(cwd, toml, overrides, environ)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value.message


def test_each_layer_goes_before_the_one_below(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "IMAGEMILL_LIMITS__IPM=2\nIMAGEMILL_LIMITS__RPM=2\nIMAGEMILL_LIMITS__TPM=2\n"
    )
    environ = {"IMAGEMILL_LIMITS__RPM": "3", "IMAGEMILL_LIMITS__TPM": "3"}
    job = load(tmp_path, "[limits]\nipm = 1\nrpm = 1\ntpm = 1\nconcurrency = 1\n", {"limits.tpm": 4}, environ)
    assert (job.limits.concurrency, job.limits.ipm, job.limits.rpm, job.limits.tpm) == (1, 2, 3, 4)


def test_a_manifest_is_told_from_a_job_file(tmp_path: Path) -> None:
    assert load_job("prompts.csv", {}, environ={}, cwd=tmp_path).manifest == "prompts.csv"
    (tmp_path / "J.TOML").write_text("manifest = 'x.csv'\n")
    assert load_job("J.TOML", {}, environ={}, cwd=tmp_path).manifest == "x.csv"
    url = "s3://bucket/list.toml"
    assert load_job(url, {}, environ={}, cwd=tmp_path).manifest == url


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    text = mistakes(
        tmp_path,
        """
        rpm = 3
        limits.rpn = 60
        limits.tpm = true
        request.n = 20
        request.model = 5
        endpoint.profile = "opneai"
        endpoint.timeout = "soon"
        retry.on_ambiguous = "ask"
        nonsense_of_mine = 1
        [budgets]
        max_cost = 2
        [input]
        limit = 0
        [request.param]
        prompt = "x"
        """,
        {"limits.ipm": "many", "simulate": "maybe"},
        {"IMAGEMILL_BUDGET__MAX_CSOT": "5"},
    )
    lines = text.splitlines()
    assert lines[0] == "15 mistakes in the job:"
    expected = (
        "rpm (job.toml): unknown key; did you mean limits.rpm?",
        "limits.rpn (job.toml): unknown key; did you mean limits.rpm?",
        "limits.tpm = true (job.toml): must be a number above 0",
        "request.n = 20 (job.toml): must be a whole number from 1 to 10",
        "request.model = 5 (job.toml): must be text (in quotes)",
        (
            'endpoint.profile = "opneai" (job.toml): unknown profile, '
            "known are dieyuyun, openai, azure, xai, together; did you mean openai?"
        ),
        'endpoint.timeout = "soon" (job.toml): must be a duration above 0: seconds, or text such as 90s, 10m, 6h',
        'retry.on_ambiguous = "ask" (job.toml): must be park or retry',
        "nonsense_of_mine (job.toml): unknown key",
        "budgets.max_cost (job.toml): unknown key; did you mean budget.max_cost?",
        "input.limit = 0 (job.toml): must be a whole number, 1 or more",
        "request.param.prompt (job.toml): the prompt comes from the manifest",
        'limits.ipm = "many" (option): must be a number above 0',
        'simulate = "maybe" (option): must be true or false',
        "budget.max_csot (IMAGEMILL_BUDGET__MAX_CSOT): unknown key; did you mean budget.max_cost?",
    )
    assert sorted(line.strip() for line in lines[1:]) == sorted(expected)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("rpm", "limits.rpm"),
        ("limit.rpm", "limits.rpm"),
        ("limits.concurency", "limits.concurrency"),
        ("simulator.rpn", "simulator.rpm"),
        ("max_cost", "budget.max_cost"),
        ("timeout", "endpoint.timeout"),
        ("manifst", "manifest"),
        ("model", "request.model"),
        ("limit", "input.limit"),
        ("zzzzzz", None),
    ],
)
def test_the_nearest_name_is_found_anywhere_in_the_tree(written: str, meant: str | None) -> None:
    assert nearest_key(written) == meant


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("limits = 5\n", "must be a table, [limits]"),
        ("[[limits]]\nrpm = 1\n", "must be a table, [limits]"),
        ("request.param = 3\n", "must be a table"),
        ("endpoint.download_hosts = 'a'\n", "must be a list of texts"),
        ("endpoint.download_hosts = ['a', 3]\n", "must be a list of texts"),
        ("budget.max_cost = nan\n", "must be a number, 0 or more"),
        ("limits.rpm = inf\n", "must be a number above 0"),
        ("request.n = 2.5\n", "must be a whole number from 1 to 10"),
        ("[request.param]\nx = 2026-11-22\n", "must be text, a finite number"),
        ("[request.param]\nsize = 'x'\n", "has a key of its own: request.size"),
        ("[request.param]\nstream = true\n", "an answer that is streamed would be paid for and not be read"),
        ("[unheard]\n", "unknown table"),
        ("out = ''\n", "is empty"),
        ("out = 'a/{manifest}'\n", "did you mean {manifest_stem}?"),
        ("endpoint.api_key_env = 'no name'\n", "must be the NAME of a variable"),
    ],
)
def test_one_mistake(tmp_path: Path, toml: str, message: str) -> None:
    assert message in mistakes(tmp_path, toml)


@pytest.mark.parametrize(
    ("toml", "where"),
    [
        ("a = 1\nb = = 2\n", "line 2, column 5"),
        ("a = 1\na = 2\n", "line 2"),
        ('x = """\n', "line 2, its end"),
    ],
)
def test_broken_toml_names_line_and_column(tmp_path: Path, toml: str, where: str) -> None:
    assert where in mistakes(tmp_path, toml)


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


SECRET = "sk-proj-0123456789abcdefghij"


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
        ("https://host/v1/images/generations", "leave the operation's path out"),
        ("http://host/v1", "is plain http"),
        ("http://10.0.0.1/v1", "is plain http"),
        ("http://localhost.evil.example/v1", "is plain http"),
    ],
)
def test_base_urls_that_are_refused(tmp_path: Path, url: str, reason: str) -> None:
    assert reason in mistakes(tmp_path, None, {"endpoint.base_url": url})


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://Host.Example/v1/", "https://host.example/v1"),
        ("HTTPS://host", "https://host"),
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


def test_a_mistyped_variable_is_warned_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load(tmp_path, None, {}, {"IMAGEMILL_LIMIT__RPM": SECRET})
    assert [record.getMessage() for record in caplog.records] == [
        "environment variable IMAGEMILL_LIMIT__RPM sets no key of the job and is ignored;"
        " did you mean IMAGEMILL_LIMITS__RPM?"
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
        "run.max_duration": "6h",
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
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value


@pytest.mark.parametrize(
    ("manifest", "stem"),
    [
        ("prompts.csv.gz", "prompts"),
        ("a/b/prompts.v2.jsonl.zst", "prompts.v2"),
        ("prompts", "prompts"),
        ("sets/night/*.txt", "night"),
        ("sets/**/*.csv", "sets"),
        ("*.csv", "csv"),
        ("s3://bucket/dir/my%20list.parquet", "my_list"),
        ("https://host/p.csv?sig=abc", "p"),
        ("weird name;rm -rf.csv", "weird_name_rm_-rf"),
        ("..", "manifest"),
        (None, "manifest"),
    ],
)
def test_manifest_stems(manifest: str | None, stem: str) -> None:
    assert manifest_stem(manifest) == stem


def test_a_folder_gives_its_whole_name(tmp_path: Path) -> None:
    (tmp_path / "set.d").mkdir()
    assert manifest_stem(str(tmp_path / "set.d")) == "set.d"
    assert manifest_stem("not/there.d/") == "there.d"


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("runs/{manifest_stem}", "runs/p"),
        ("{date}/{run_id}", "2026-11-22/r1"),
        ("runs/{date:%Y/%m}", "runs/2026/11"),
        ("plain", "plain"),
    ],
)
def test_output_templates(template: str, folder: str) -> None:
    assert out_folder(Job(manifest="p.csv", out=template), today=TODAY, run_id="r1") == Path(folder)


@pytest.mark.parametrize("template", ["{user}", "{date", "a}b", "{run_id:x}", " "])
def test_output_templates_that_are_refused(template: str) -> None:
    with pytest.raises(JobError):
        out_folder(Job(manifest="p.csv", out=template), today=TODAY, run_id="r1")


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    assert "not Unicode" in mistakes(tmp_path, None, {"manifest": "caf\udce9.csv"})


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
        toml = "\n".join(f"{key} = {toml_value(value)}" for key, value in document.items())
        if fits:
            load(tmp_path, toml)
        else:
            mistakes(tmp_path, toml)


PRICES = '[endpoint.prices]\nsource = "mine"\nimage = [{model = "m", quality = "low", usd = 0.25}]\n'


def test_a_table_of_prices_is_read_and_written_as_a_whole(tmp_path: Path) -> None:
    job = load(tmp_path, PRICES)
    assert job.endpoint.prices is not None
    assert [(price.model, price.size, price.usd) for price in job.endpoint.prices.image] == [("m", "*", 0.25)]
    assert load(tmp_path, job_toml(job)).endpoint.prices == job.endpoint.prices


def test_mistakes_in_a_table_of_prices_are_told_with_their_place(tmp_path: Path) -> None:
    told = mistakes(tmp_path, PRICES.replace("0.25", "-1") + "curency = 3\n")
    assert "endpoint.prices = (a table) (job.toml): image.0.usd: Input should be greater" in told
    assert "endpoint.prices = (a table) (job.toml): curency: Extra inputs are not permitted" in told
    assert "endpoint.prices = 5 (job.toml): must be a table" in mistakes(tmp_path, "[endpoint]\nprices = 5\n")
