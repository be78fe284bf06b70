"""Help and completion: complete, quick to start, the same in a pipe and on a terminal."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from runner.cli.main import SUMMARIES, commands
from runner.config.json_schema import job_keys
from schemas.job_options import JOB_OPTIONS
from tests.runner.cli.conftest import Imagemill
from tests.support.commandline import on_a_terminal

HEAVY = ("pandas", "pyarrow", "aiohttp", "pydantic", "rich", "structlog", "numpy", "PIL")

CONTRACT = """
--limit --sample --seed --prompt-col --id-col --distinct --model --size --quality --background --moderation --n
--output-format --output-compression --response-format --param --simulate --profile --base-url --allow-http --dialect
--api-key-env --timeout --rpm --ipm --tpm --concurrency --max-cost --max-requests --price --attempts --on-ambiguous
--ambiguous-budget --give-up --max-duration --drain --wait-lock --out --progress --json -q -v --log-format --set
"""


def test_the_overview_names_every_command(imagemill: Imagemill) -> None:
    done = imagemill("--help")
    assert (done.code, done.err) == (0, "")
    assert re.findall(r"^  ([a-z]+)  ", done.out, re.MULTILINE) == list(SUMMARIES)
    assert "_IMAGEMILL_COMPLETE" in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize("command", ["run", "plan"])
def test_every_option_of_the_contract_is_documented(imagemill: Imagemill, command: str) -> None:
    done = imagemill(command, "-h")
    flags = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", done.out))
    assert done.code == 0
    assert set(CONTRACT.split()) <= flags


def test_every_command_takes_json() -> None:
    root = commands()
    for name in SUMMARIES:
        command = root.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert {"--json", "--quiet", "--verbose"} <= {
            flag for option in command.params for flag in option.opts
        }


def test_the_option_table_agrees_with_the_job() -> None:
    keys = job_keys()
    for option in JOB_OPTIONS:
        leaf = keys[option.key]
        assert bool(option.metavar) == (leaf.get("type") != "boolean"), option.flag
        allowed = set(leaf.get("enum", option.choices))
        assert set(option.choices) <= allowed, option.flag
        name = option.flag.removeprefix("--").replace("-", "_")
        assert name in (option.key.rpartition(".")[2], "prompt_col", "id_col", "notify")


@pytest.mark.parametrize(
    "call",
    [
        "main(['--help'])",
        "main(['run', '--help'])",
        "main(['--version'])",
        "main(['help'])",
        "main(['help', 'resume'])",
        "main(['help', 'status'])",
        "main(['rnu'])",
    ],
)
def test_help_starts_without_the_heavy_libraries(imagemill: Imagemill, call: str) -> None:
    heavy = f"[name for name in {HEAVY} if name in sys.modules]"
    script = f"import sys; from runner.cli.main import main; {call}; print('HEAVY', {heavy})"
    assert imagemill(program=(sys.executable, "-c", script)).out.splitlines()[-1] == "HEAVY []"


COMPLETED = [
    ("imagemill ru", "1", "run"),
    ("imagemill run --max-c", "2", "--max-cost"),
    ("imagemill run --progress p", "3", "plain"),
    ("imagemill schema m", "2", "manifest"),
    ("imagemill failures --error mod", "3", "moderation"),
]


@pytest.mark.parametrize(("words", "position", "offered"), COMPLETED)
def test_completion_offers_names_and_values(
    imagemill: Imagemill, words: str, position: str, offered: str
) -> None:
    done = imagemill(_IMAGEMILL_COMPLETE="zsh_complete", COMP_WORDS=words, COMP_CWORD=position)
    assert offered in done.out.splitlines()


def test_completion_starts_without_the_heavy_libraries(imagemill: Imagemill) -> None:
    done = imagemill(
        program=(sys.executable, "-X", "importtime", *_console_script()),
        _IMAGEMILL_COMPLETE="zsh_complete",
        COMP_WORDS="imagemill run --r",
        COMP_CWORD="2",
    )
    assert "--rpm" in done.out
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.err.splitlines()}
    assert imported & set(HEAVY) == set()
    assert "click" in imported


def _console_script() -> tuple[str, ...]:
    return (str(Path(sys.executable).with_name("imagemill")),)


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_gets_boxes_and_colours_unless_refused(
    no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    shown = on_a_terminal("run", "--help")
    assert "╭" in shown
    assert "--max-cost" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]m", shown)) is not no_color


def test_the_version(imagemill: Imagemill) -> None:
    assert re.fullmatch(r"imagemill \d+\.\d+\.\d+\S*\n", imagemill("--version").out)


def test_no_arguments_show_the_overview(imagemill: Imagemill) -> None:
    done = imagemill()
    assert (done.code, done.out) == (2, "")
    assert "Commands:" in done.err
