"""Mistakes in a job: all at once, each with its key, value and place, what is allowed and what was probably meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.config.json_schema import job_keys, job_tables
from runner.config.problem_report import JobProblem, job_error, shown_value
from runner.config.problems import job_problems, nearest_key, setting_problems
from runner.process.redaction import REDACTOR
from schemas.errors import ExitCode
from schemas.job import Job
from schemas.task_dialects import DIALECTS
from tests.support.jobs import mistakes

PRICES = '[endpoint.prices]\nsource = "mine"\nimage = [{model = "m", quality = "low", usd = 0.25}]\n'


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
        "rpm (job.toml:2): unknown key; did you mean limits.rpm?",
        "limits.rpn (job.toml:3): unknown key; did you mean limits.rpm?",
        "limits.tpm = true (job.toml:4): must be a number above 0",
        "request.n = 20 (job.toml:5): must be a whole number from 1 to 10",
        "request.model = 5 (job.toml:6): must be text (in quotes)",
        (
            'endpoint.profile = "opneai" (job.toml:7): unknown profile, '
            "known are dieyuyun, openai, azure, xai, together; did you mean openai?"
        ),
        'endpoint.timeout = "soon" (job.toml:8): must be a duration above 0: seconds, or text such as 90s, 10m, 6h',
        'retry.on_ambiguous = "ask" (job.toml:9): must be park or retry',
        "nonsense_of_mine (job.toml:10): unknown key",
        "[budgets] (job.toml:11): unknown table; did you mean [budget]?",
        "input.limit = 0 (job.toml:14): must be a whole number, 1 or more",
        "request.param.prompt (job.toml:16): the prompt comes from the manifest",
        '--ipm "many": must be a number above 0',
        '--simulate "maybe": must be true or false',
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


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    assert "not Unicode" in mistakes(tmp_path, None, {"manifest": "caf\udce9.csv"})


def test_mistakes_in_a_table_of_prices_are_told_with_their_place(tmp_path: Path) -> None:
    told = mistakes(tmp_path, PRICES.replace("0.25", "-1") + "curency = 3\n")
    assert "endpoint.prices.image.0.usd (job.toml:3): must be a number, 0 or more" in told
    assert "endpoint.prices.curency (job.toml:4): unknown key" in told
    assert "endpoint.prices = 5 (job.toml:2): must be a table" in mistakes(
        tmp_path, "[endpoint]\nprices = 5\n"
    )


# Unknown names


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("endpoint.seed", "input.seed"),
        ("budget.rpm", "limits.rpm"),
        ("simulatr.rpm", "simulator.rpm"),
        ("limits.cocurrency", "limits.concurrency"),
        ("run.retry", "retry"),
        ("budgets", "budget"),
        ("concurency", "limits.concurrency"),
        ("elsewhere.concurency", "limits.concurrency"),
    ],
)
def test_the_nearest_name_in_another_table(written: str, meant: str | None) -> None:
    assert nearest_key(written) == meant


def found(**settings: Any) -> list[JobProblem]:
    """Problems of settings, with two underscores for a dot."""
    return list(setting_problems({key.replace("__", "."): value for key, value in settings.items()}))


def test_an_unknown_name_is_a_key_or_a_table() -> None:
    assert [each.message for each in found(budgets=1)] == ["unknown key; did you mean budget?"]
    assert [each.message for each in found(budgets={})] == ["unknown table; did you mean budget?"]
    assert [each.message for each in found(zzzzzz=1)] == ["unknown key"]


def test_a_body_field_may_have_any_name() -> None:
    assert found(request__param__zzzzzz=1) == []
    assert found(request__params__size=1)[0].key == "request.params.size"


def test_a_table_is_no_value() -> None:
    assert [found(**{table: 5}) for table in sorted(job_tables())] == [
        [JobProblem(table, f"must be a table, [{table}]")] for table in sorted(job_tables())
    ]


# What pydantic would let pass


def test_true_is_no_number_wherever_a_number_is_wanted() -> None:
    kinds = ("integer", "number")
    numbers = {key for key, leaf in job_keys().items() if leaf.get("type") in kinds}
    durations = {"run.drain", "retry.give_up", "endpoint.timeout", "limits.window_s"}
    given = dict.fromkeys(job_keys(), True)
    told = {problem.key: problem.message for problem in setting_problems(given)}
    assert numbers | durations <= told.keys()
    assert "simulate" not in told
    assert "manifest" not in told
    assert told["request.n"] == "must be a whole number from 1 to 10"
    assert told["run.drain"] == "must be a duration, 0 or more: seconds, or text such as 90s, 10m, 6h"
    assert found(limits__rpm=1.0, simulate=True) == []


def test_text_in_another_encoding_is_told() -> None:
    assert found(manifest="caf\udce9.csv") == [
        JobProblem("manifest", "is not Unicode text (a file name in another encoding?)")
    ]
    assert found(manifest="café.csv") == []


# Values whose types are right


def wrong(**tables: Any) -> list[JobProblem]:
    return list(job_problems(Job.model_validate(tables)))


def test_a_job_without_mistakes_has_no_problems() -> None:
    full = {
        "date": "2026-11-21",
        "endpoint": {"base_url": "https://host/v1", "dialect": "sync", "api_key_env": "KEY", "task": {"poll_path": "{id}"}},
        "run": {"deadline": "06:00", "ping_url": "https://host/x"},
        "request": {"param": {"x": [1, 2.5, "a", True, {"y": []}], "stream": False}},
    }  # fmt: skip
    assert wrong(**full) == []
    assert wrong() == []


def test_a_dialect_that_nobody_speaks_is_told_with_the_nearest() -> None:
    name = next(iter(DIALECTS))
    known = ", ".join((*DIALECTS, "sync"))
    message = f"unknown dialect, known are {known}; did you mean {name}?"
    assert wrong(endpoint={"dialect": f"{name}o"}) == [JobProblem("endpoint.dialect", message, name)]
    assert wrong(endpoint={"dialect": "qqqqqqq"}) == [
        JobProblem("endpoint.dialect", f"unknown dialect, known are {known}")
    ]


def test_a_profile_that_nobody_knows_may_be_near_none() -> None:
    (problem,) = wrong(endpoint={"profile": "qqqqqqq"})
    assert problem.key == "endpoint.profile"
    assert problem.message.startswith("unknown profile, known are ")
    assert "did you mean" not in problem.message


@pytest.mark.parametrize(
    ("tables", "key", "told"),
    [
        ({"endpoint": {"task": {"poll_path": "jobs/ID"}}}, "endpoint.task.poll_path",
         "must hold {id}, where the task's id goes"),
        ({"endpoint": {"base_url": "ftp://host/v1"}}, "endpoint.base_url", "must begin with https://"),
        ({"endpoint": {"api_key_env": "1KEY"}}, "endpoint.api_key_env",
         "must be the NAME of a variable, not the key itself"),
        ({"out": " "}, "out", "is empty"),
        ({"date": "soon"}, "date", "must be a day such as 2026-11-21, or today or yesterday"),
        ({"run": {"deadline": "25:00"}}, "run.deadline",
         "must be a time such as 06:00, or a date and time such as 2026-11-21T06:00"),
        ({"run": {"ping_url": "ftp://host"}}, "run.ping_url", "must begin with https:// or http://, or be env:NAME"),
        ({"request": {"param": {"prompt": "x"}}}, "request.param.prompt", "the prompt comes from the manifest"),
        ({"request": {"param": {"size": "x"}}}, "request.param.size", "has a key of its own: request.size"),
        ({"request": {"param": {"stream": True}}}, "request.param.stream",
         "must be false: an answer that is streamed would be paid for and not be read"),
        ({"request": {"param": {"x": float("nan")}}}, "request.param.x",
         "must be text, a finite number, true or false, a list or a table"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be(tables: dict[str, Any], key: str, told: str) -> None:
    (problem,) = wrong(**tables)
    assert (problem.key, problem.message) == (key, told)


@pytest.mark.parametrize("url", ["env:NAME", "https://host/x", "http://host/x"])
def test_addresses_that_are_told_of_a_run(url: str) -> None:
    assert wrong(run={"ping_url": url}) == []


@pytest.mark.parametrize("day", ["today", "yesterday", "2026-02-28"])
def test_days(day: str) -> None:
    assert wrong(date=day) == []


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("a", True),
        (1, True),
        (1.5, True),
        (True, True),
        ([1, ["a"]], True),
        ((1, 2), True),
        ({"a": {"b": 1}}, True),
        (float("inf"), False),
        (None, False),
        ([1, None], False),
        ({"a": {"b": None}}, False),
        ({1: "a"}, False),
        (b"a", False),
    ],
)
def test_a_body_field_is_what_json_can_hold(value: object, fits: bool) -> None:
    assert (wrong(request={"param": {"x": value}}) == []) is fits


# What is shown of a value


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("limits.rpm", 5, "5"),
        ("limits.rpm", "many", '"many"'),
        ("simulate", True, "true"),
        ("endpoint.download_hosts", ["a", "b"], '["a", "b"]'),
        ("endpoint.prices", {"source": "x"}, "(a table)"),
        ("manifest", "x" * 80, f'"{"x" * 80}"'),
        ("manifest", "x" * 81, f'"{"x" * 80}…"'),
        ("endpoint.download_hosts", ["x" * 90], f'["{"x" * 78}…'),
        ("run.ping_url", "https://host/token", "(value not shown)"),
        ("endpoint.api_key_env", "KEY", "(value not shown)"),
        ("request.param.x", 5, "(value not shown)"),
    ],
)
def test_a_value_is_shown_short_and_never_where_it_may_be_a_secret(key: str, value: Any, text: str) -> None:
    assert shown_value(key, value) == text


def test_a_known_secret_is_hidden_wherever_it_is() -> None:
    REDACTOR.register("hunter2-hunter2")
    assert shown_value("manifest", "a/hunter2-hunter2.csv") == '"a/[redacted].csv"'
    assert shown_value("endpoint.download_hosts", ["hunter2-hunter2"]) == '["[redacted]"]'


# The message


def told(*problems: JobProblem, values: dict[str, Any] | None = None, **origins: str) -> str:
    named = {name.replace("__", "."): origin for name, origin in origins.items()}
    return job_error(problems, values or {}, named).message


def test_one_mistake_is_one_line() -> None:
    problem = JobProblem("limits.rpm", "must be a number above 0")
    error = job_error([problem], {"limits.rpm": -1}, {"limits.rpm": "job.toml"})
    assert error.message == "limits.rpm = -1 (job.toml): must be a number above 0"
    assert (error.fix, error.exit_code) == ("`imagemill schema job` lists every key", ExitCode.USAGE)
    assert told(problem) == "limits.rpm: must be a number above 0"


def test_several_mistakes_are_a_list() -> None:
    problems = JobProblem("limits.rpm", "is wrong"), JobProblem("out", "is empty")
    error = job_error(problems, {"out": ""}, {"limits.rpm": "option"})
    assert error.message == '2 mistakes in the job:\n  --rpm: is wrong\n  out = "": is empty'
    assert error.fix == "`imagemill schema job` lists every key"


def test_what_stands_at_a_key_that_nobody_knows_is_not_shown() -> None:
    values = {"zzz": "a", "request.param.x": "b"}
    assert told(JobProblem("zzz", "unknown key"), values=values) == "zzz: unknown key"
    shown_field = told(JobProblem("request.param.x", "is wrong"), values=values)
    assert shown_field == "request.param.x: is wrong"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("limits.a b", "limits.(name not shown)"),
        ("limits.a b.c", "limits.(name not shown)"),
        ("ä", "(name not shown)"),
        ("a-b_1.c", "a-b_1.c"),
    ],
)
def test_a_name_that_may_be_a_value_gone_astray_is_not_shown(key: str, name: str) -> None:
    assert told(JobProblem(key, "unknown key")) == f"{name}: unknown key"


def test_a_known_secret_is_no_name_of_a_key() -> None:
    REDACTOR.register("hunter2-hunter2")
    assert told(JobProblem("hunter2-hunter2", "unknown key")) == "[redacted]: unknown key"


def test_a_place_in_a_list_belongs_to_its_key(tmp_path: Path) -> None:
    text = mistakes(tmp_path, "[endpoint]\ndrop_params = ['a', 3]\n")
    assert text == 'endpoint.drop_params = ["a", 3] (job.toml:2): must be a list of texts, such as ["a", "b"]'
