"""Every call that Python has, in a script with types: what it gives, and that a strict type checker takes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.commandline import CommandLine

SCRIPT = """
import asyncio
import json
from pathlib import Path

import runner


async def look(progress: runner.Progress) -> None:
    assert progress.total_images >= progress.done_images


def main() -> None:
    plan: runner.PlanReport = runner.plan("rows.csv", out="o", simulate=True, max_cost=5, all=True)
    summary: runner.RunSummary = runner.run(
        Path("rows.csv"), out="o", simulate=True, size="64x64", set={"simulator.latency": 0}, on_progress=look
    )
    planned: runner.PlanReport = runner.retry("o", error=["moderation"], dry_run=True)
    retried: runner.RunSummary = runner.retry("o", rows=["hare"], set={"prompt": "a hare"}, progress="none")
    stand: runner.RunSummary = runner.status("o")
    broken: runner.Failures = runner.failures("o", error="invalid_row")
    found: runner.VerifyReport = runner.verify("o", repair=True, decode=False)
    later = asyncio.run(runner.run_async(["a fox"], out="p", simulate=True, on_progress=lambda _: None))
    again = runner.retry("o", where="row_id = 'hare'", succeeded=True, set={"prompt": "{prompt} at dusk"}, dry_run=True)
    known = runner.plan("rows.csv", out="o", simulate=True, all=True)
    made: runner.ExportReport = runner.export("p", "d", to="parquet", columns=["row_id"])
    shape: tuple[int, int] = runner.results("o").shape
    try:
        runner.run("rows.csv", out="o", simulate=False)
    except runner.ManifestError:
        raise
    except runner.JobError as error:
        stopped = {"fix": error.fix, "code": int(error.exit_code), "notes": error.__notes__}
    values: list[runner.PlanReport | runner.RunSummary | runner.Failures | runner.VerifyReport | runner.ExportReport]
    values = [plan, summary, planned, retried, stand, broken, found, later, again, known, made]
    told = {
        "objects": [value.to_dict() for value in values],
        "texts": [str(value) for value in values],
        "shown": [repr(value) for value in values],
        "html": [value._repr_html_() for value in values],
        "ok": [summary.ok, retried.ok, stand.ok, found.ok, later.ok],
        "shape": shape,
        "failures": len(broken),
        "path": str(later.path),
        "stopped": stopped,
    }
    print(json.dumps(told))


main()
"""
DUSK = ("--set", "prompt={prompt} at dusk")
ROWS = "id,prompt\nfox,a <b>fox</b>\nhare,[[refuse]] a hare\nowl,\n"


@pytest.fixture
def script(command: CommandLine) -> Path:
    (command.cwd / "rows.csv").write_text(ROWS)
    path = command.cwd / "script.py"
    path.write_text(SCRIPT)
    return path


def test_each_call_gives_what_its_command_prints(command: CommandLine, script: Path) -> None:
    ended = command(script, program=sys.executable)
    assert ended.code == 0, ended.err
    told = ended.json
    assert told["ok"] == [False, False, False, True, True]
    assert (told["shape"][0], told["failures"], told["path"]) == (3, 1, str(command.cwd / "p"))
    assert told["stopped"]["code"] == 2 and told["stopped"]["notes"] == [f"fix: {told['stopped']['fix']}"]
    commands = [
        "plan",
        "run",
        "retry",
        "retry",
        "status",
        "failures",
        "verify",
        "run",
        "retry",
        "plan",
        "export",
    ]
    assert [each["command"] for each in told["objects"]] == commands
    for arguments, at in (
        (("status", "o"), 4),
        (("failures", "o", "--error", "invalid_row"), 5),
        (("verify", "o"), 6),
        (("retry", "o", "--where", "row_id = 'hare'", "--succeeded", *DUSK, "--dry-run"), 8),
        (("plan", "rows.csv", "--out", "o", "--simulate", "--all"), 9),
        (("export", "p", "d", "--to", "parquet", "--columns", "row_id"), 10),
    ):
        assert command(*arguments).out.rstrip("\n") == told["texts"][at]
        assert command(*arguments, "--json").json == told["objects"][at]
    assert told["shown"][1] == (
        "<RunSummary o: 1 of 3 images succeeded; 1 failed; 1 invalid; errors: invalid_row 1, moderation 1; exit code 3>"
    )
    assert json.loads((command.cwd / "p/summary.json").read_text()) == told["objects"][7]
    assert all("<b>" not in html.replace("<b>imagemill", "") for html in told["html"])
    for line in (
        "finished: 1 failed, 1 invalid (exit code 3); runner.failures('o') lists",
        "script.py:15: JobWarning",
    ):
        assert line in ended.err


def checked(command: CommandLine, script: Path) -> list[str]:
    """What mypy says of a script of the user's, line by line."""
    arguments = ("--strict", "--config-file=", "--cache-dir", command.cwd / "cache", script)
    return command("-m", "mypy", *arguments, program=sys.executable).out.splitlines()


def test_a_strict_type_checker_takes_it(command: CommandLine, script: Path) -> None:
    assert checked(command, script) == ["Success: no issues found in 1 source file"]
    wrong = {
        'runner.run("a.csv", rmp=3)': 'Unexpected keyword argument "rmp" for "run"',
        'runner.run("a.csv", rpm="x")': 'Argument "rpm" to "run" has incompatible type "str"; expected "float"',
        'runner.retry("o", dry_run=True).ok': '"PlanReport" has no attribute "ok"',
        'imagemill.status("o").okay': '"RunSummary" has no attribute "okay"',
    }
    script.write_text("import imagemill\nimport runner\n\n" + "\n".join(wrong) + "\n")
    told = [line.partition(" error: ")[2].rpartition("  [")[0] for line in checked(command, script)]
    assert [text for text in told if text] == [*wrong.values()]
