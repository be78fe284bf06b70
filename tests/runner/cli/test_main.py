"""Whatever stops the command becomes one message, one exit code, and with --json one object."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.runner.cli.conftest import Imagemill
from tests.support.canary import CANARY as SECRET

PLAIN_SECRET = "9f8e7d6c5b4a39281706"


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (["rnu"], "no command 'rnu'; did you mean run?", "`imagemill --help`"),
        (["run", "--rpn", "6"], "--rpn", "`imagemill run --help`"),
        (["run", "a.csv", "b.csv"], "unexpected extra argument", "`imagemill run --help`"),
        (["run"], "no manifest", "imagemill run prompts.csv"),
        (["run", "gone.toml"], "no job file gone.toml", "manifest"),
        (["run", "a.csv", "--set", "rpm"], "--set takes key=value", "`imagemill run --help`"),
        (["plan", "a.csv", "--param", "=5"], "--param takes key=value", "`imagemill plan --help`"),
        (["schema", "table"], "'table' is not", "`imagemill schema --help`"),
        (["simulate", "--port", "x"], "'x' is not a number", "`imagemill simulate --help`"),
        (["simulate", "--scenario", "gone.toml"], "gone.toml", ""),
        (["status"], "Missing argument", "`imagemill status --help`"),
    ],
)
def test_usage_errors_are_exit_2(imagemill: Imagemill, arguments: list[str], message: str, fix: str) -> None:
    done = imagemill(*arguments, "--json")
    assert (done.code, done.json["exit_code"]) == (2, 2)
    assert done.err.startswith("error: ")
    assert message in done.err
    assert fix in done.err.partition("fix: ")[2]
    assert message in done.json["exit_reason"]


def test_without_json_stdout_stays_empty(imagemill: Imagemill) -> None:
    done = imagemill("run", "--rpn", "6")
    assert (done.code, done.out) == (2, "")


def test_flags_and_set_and_file_and_variables_are_judged_together(
    imagemill: Imagemill, tmp_path: Path
) -> None:
    (tmp_path / "job.toml").write_text("rpm = 3\nlimits.ipm = -1\n")
    done = imagemill(
        "plan",
        "job.toml",
        "--n",
        "20",
        "--rpm",
        "fast",
        "--set",
        "limits.window=3",
        "--param",
        "prompt=x",
        IMAGEMILL_RETRY__ATTEMPTS="0",
    )
    assert done.code == 2
    assert done.err.splitlines()[0] == "error: 7 mistakes in the job:"
    assert {line.strip().partition(" ")[0] for line in done.err.splitlines()[1:8]} == {
        "rpm",
        "limits.ipm",
        "--n",
        "--rpm",
        "--set",
        "--param",
        "retry.attempts",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "a.csv", "--set", f"endpoint.api_key={SECRET}"],
        ["run", "a.csv", "--api-key-env", SECRET],
        ["run", "a.csv", "--base-url", f"https://u:{SECRET}@host/v1"],
        ["run", "a.csv", "--base-url", f"https://host/v1?key={SECRET}"],
        ["doctor", "--set", f"endpoint.api_key_command=echo {SECRET} x"],
        ["doctor", "--set", f"endpoint.api_key_command=/no/{SECRET}"],
        ["doctor", "--base-url", "http://127.0.0.1:9/v1"],
        ["plan", "gone.csv", "-vv"],
        ["run", "a.csv", PLAIN_SECRET],
        ["run", "a.csv", "--rpm", PLAIN_SECRET],
    ],
)
def test_g14_the_key_is_on_no_stream(imagemill: Imagemill, arguments: list[str]) -> None:
    done = imagemill(*arguments, "--json", IMAGEMILL_API_KEY=SECRET, OPENAI_API_KEY=PLAIN_SECRET)
    assert done.code != 0
    assert SECRET not in done.out + done.err
    assert PLAIN_SECRET not in done.out + done.err


def test_an_internal_error_is_short_and_its_traceback_redacted(imagemill: Imagemill) -> None:
    script = f"""
import sys
import runner.cli.tools.schema as schema
from runner.process.redaction import REDACTOR
REDACTOR.register("{SECRET}")
def broken():
    raise ValueError("Bearer {SECRET} \\x1b[31m")
schema.TABLES["manifest"] = broken
from runner.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    program = (sys.executable, "-c", script)
    short = imagemill("schema", "manifest", "--json", program=program)
    assert short.code == 1
    assert short.err.splitlines()[0] == r"error: internal error: ValueError: Bearer [redacted] \x1b[31m"
    assert "Traceback" not in short.err
    assert (short.json["exit_code"], SECRET in short.out) == (1, False)
    long = imagemill("schema", "manifest", "-v", program=program)
    assert "Traceback" in long.err
    assert "broken" in long.err
    assert SECRET not in long.err


@pytest.mark.parametrize(("error", "code"), [("KeyboardInterrupt", 130), ("OSError(28, 'No space left')", 9)])
def test_interrupts_and_full_disks_have_their_codes(imagemill: Imagemill, error: str, code: int) -> None:
    script = f"""
import sys
import runner.cli.tools.schema as schema
def broken():
    raise {error}
schema.TABLES["manifest"] = broken
from runner.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    done = imagemill("schema", "manifest", "--json", program=(sys.executable, "-c", script))
    assert (done.code, done.json["exit_code"]) == (code, code)


@pytest.mark.parametrize("name", ["schemas", "jobs"])
def test_a_folder_that_shadows_ours_is_named(imagemill: Imagemill, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise SystemExit('ran the wrong code')\n")
    for program, environ in (
        ((sys.executable, "-m", "runner"), {}),
        ((str(Path(sys.executable).with_name("imagemill")),), {"PYTHONPATH": str(tmp_path)}),
    ):
        done = imagemill("--help", program=program, **environ)
        assert (done.code, done.out) == (2, "")
        assert f"{tmp_path / name} where imagemill's own package `{name}` should be" in done.err


def test_a_folder_without_python_code_shadows_nothing(imagemill: Imagemill, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    assert imagemill("--help", program=(sys.executable, "-m", "runner")).code == 0


def test_output_survives_a_narrow_encoding(imagemill: Imagemill) -> None:
    done = imagemill("schema", "results", PYTHONIOENCODING="latin-1")
    assert done.code == 0
    assert "\\u2026" in done.out
