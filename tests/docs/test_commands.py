"""The documentation is run: every command and Python snippet of a page, in order, and what it prints is compared."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.attacks.crash.forkserver import ForkServer, Run
from tests.docs.pages import DOCS, PAGES, README, Block, Command, blocks, console_commands, name_of
from tests.support.canary import CANARY
from tests.support.commandline import CommandLine, Ended, Service

PAGES_WITH_COMMANDS = [
    page
    for page in PAGES
    if any(block.kind in ("console", "python") for block in blocks(page.read_text("utf-8")))
]

SIMULATED = {
    "IMAGEMILL_SIMULATE": "true",
    "IMAGEMILL_SIMULATOR__LATENCY": "0",
    "IMAGEMILL_OUTPUT__PROGRESS": "none",
}
"""Under these, commands that are written for the real service run as they stand, and print nothing but results."""
SMALL = {"IMAGEMILL_REQUEST__SIZE": "64x64"}
"""For pages that do not show what a command prints, which names prices."""

KEYS = ("sk-your-key", "any-key")
PORT = "8765"
SERVER = "imagemill simulate --port "
SHELL = {"|", ">", "<", "&&", ";"}
"""Words for which a command goes to a shell."""
TIMEOUT_S = 120.0
TOP_LEVEL_AWAIT = """
import ast, asyncio, inspect, sys
code = compile(sys.stdin.read(), "page.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
found = eval(code)
if inspect.iscoroutine(found):
    asyncio.run(found)
"""

ANYTHING = "…"
_VARIES = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d([+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}"), "RUN"),
    (re.compile(r"\b\d[\d.,]* (?:ms|s|min|h)\b"), "DURATION"),
    (re.compile(r" {2,}"), "  "),
)
"""What differs from run to run, or from machine to machine, and the columns that shift with it."""


def normalised(line: str) -> str:
    """The line without what may differ."""
    for pattern, word in _VARIES:
        line = pattern.sub(word, line)
    return line.rstrip()


def shows(page: Iterable[str], printed: Iterable[str]) -> bool:
    """Whether the lines of a page are what a command printed. `…` is any lines, and within a line any text."""
    pattern = ""
    for line in page:
        if line == ANYTHING:
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(map(re.escape, normalised(line).split(ANYTHING))) + r"\n"
    text = "".join(f"{normalised(line)}\n" for line in printed)
    return re.fullmatch(pattern, text) is not None


@dataclass
class Reader:
    """Somebody who types what a page says, from top to bottom, in one shell.

    environ: what the shell exports. serving: the section in which a simulator of the page's own answers, "" while none does;
    its commands are not simulated otherwise.
    """

    command: CommandLine
    forks: ForkServer
    servers: ExitStack
    environ: dict[str, str]
    serving: str = field(default="")

    def read(self, block: Block) -> None:
        """Do what the block says; fail with its line where it does not work."""
        if block.section != self.serving:
            self.servers.close()
            self.serving = ""
        match block.kind:
            case "console" if block.text.startswith(f"$ {SERVER}"):
                self.servers.enter_context(Service(self.command, *block.text.split()[3:], "--latency", "0"))
                self.serving = block.section
            case "console":
                self.type(console_commands(block))
            case "python" if "import duckdb" not in block.text or importlib.util.find_spec("duckdb"):
                done = self._run([sys.executable, "-c", TOP_LEVEL_AWAIT], block.text)
                assert done.code == 0, f"line {block.line}:\n{done.out}{done.err}"
                same = not block.shown or shows(block.shown.splitlines(), done.out.splitlines())
                assert same, f"line {block.line} printed:\n{done.out}"
            case "toml" if name := re.match(r"# (\S+\.toml)\n", block.text):
                (self.command.cwd / name[1]).write_text(block.text)

    def type(self, commands: Sequence[Command]) -> None:
        """Run the commands. Where any of them shows output, that of all is compared."""
        compared = any(command.output for command in commands)
        for command in commands:
            ended = self._enter(command.text)
            printed = ended.out + ended.err
            assert ended.code == command.exit_code, f"line {command.line}: exit code {ended.code}\n{printed}"
            if compared:
                same = shows(command.output, printed.splitlines())
                assert same, f"line {command.line} printed:\n{printed}"

    def _enter(self, text: str) -> Ended:
        match shlex.split(text, comments=True):
            case ["export", *settings]:
                self.environ |= dict(setting.split("=", 1) for setting in settings)
                return Ended(0, "", "")
            case ["imagemill", *arguments] if not set(arguments) & SHELL:
                return self._fork(arguments)
            case _:
                return self._run(["bash", "-c", text], "")

    def _environ(self) -> dict[str, str]:
        kept = self.environ if not self.serving else self.environ.keys() - (SIMULATED | SMALL).keys()
        return self.command.environ(**{name: self.environ[name] for name in kept})

    def _fork(self, arguments: list[str]) -> Ended:
        output = self.command.cwd.with_name("output")
        run = Run(tuple(arguments), str(self.command.cwd), self._environ(), str(output))
        code = self.forks.start(run).wait(TIMEOUT_S)
        assert code is not None, f"imagemill {shlex.join(arguments)}: not finished after {TIMEOUT_S} s"
        out, err = (output.with_suffix(end).read_text("utf-8") for end in (".stdout", ".stderr"))
        return Ended(code, out, err)

    def _run(self, arguments: list[str], text: str) -> Ended:
        done = subprocess.run(
            arguments,
            input=text,
            cwd=self.command.cwd,
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


def runnable(page: Path, text: str) -> Iterator[Block]:
    """The blocks of a page with this text. Of the README's first `sh` block it is the last command, after what installs."""
    for block in blocks(text):
        *_, last = block.text.split(" && ")
        if page == README and block.kind == "sh" and last.startswith(".venv/bin/imagemill "):
            typed = f"$ {last.removeprefix('.venv/bin/')}\n{block.shown}"
            yield replace(block, kind="console", text=typed)
        else:
            yield block


def free_port() -> str:
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        return str(plug.getsockname()[1])


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    """Starts commands in a tenth of the time that a new interpreter takes; the documentation holds some eighty."""
    with ForkServer() as server:
        yield server


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """A folder in which the tutorial's first batch was made."""
    command = CommandLine(tmp_path_factory.mktemp("begun"))
    shutil.copytree(samples, command.cwd / "sample_batches")
    ended = command("run", "sample_batches/quickstart.csv", "--simulate", environ=SIMULATED)
    assert ended.code == 0, ended.err
    return command.cwd


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS, ids=name_of)
def test_every_block_works(tmp_path: Path, begun: Path, forks: ForkServer, page: Path) -> None:
    starts_empty = page == README or page.parent == DOCS / "tutorial"
    folder = tmp_path / "work"
    shutil.copytree(begun, folder, ignore=shutil.ignore_patterns("runs") if starts_empty else None)
    text = page.read_text("utf-8").replace(PORT, free_port())
    for key in KEYS:
        text = text.replace(f"_API_KEY={key}\n", f"_API_KEY={CANARY}\n")
    found = list(runnable(page, text))
    compared = any(
        block.shown
        or (block.kind == "console" and any(command.output for command in console_commands(block)))
        for block in found
    )
    with ExitStack() as servers:
        environ = dict(SIMULATED) if compared else SIMULATED | SMALL
        reader = Reader(CommandLine(folder), forks, servers, environ)
        for block in found:
            reader.read(block)


def test_output_that_differs_is_noticed() -> None:
    printed = ["rows  12", "time  1.1 s", "cost  $0.61", "next  imagemill verify runs/a"]
    assert shows(["rows  12", "time  12.0 s", "cost  $0.61", "next  …"], printed)
    assert shows(["…", "cost   $0.61", "…"], printed)
    assert not shows(["rows  12", "time  1.1 s", "cost  $0.62", "next  …"], printed)
    assert not shows(["rows  12", "…", "time  1.1 s"], printed)
    assert not shows([], printed)
