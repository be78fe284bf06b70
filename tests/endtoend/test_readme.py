"""The README is run: every `console` and `python` block, in order, in a folder that holds a copy of the samples."""

from __future__ import annotations

import importlib.util
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.errors import ExitCode
from tests import readme_tables
from tests.canary import CANARY
from tests.commandline import CommandLine, Service

SIMULATED = {
    "IMAGEMILL_SIMULATE": "true",
    "IMAGEMILL_SIMULATOR__LATENCY": "0",
    "IMAGEMILL_REQUEST__SIZE": "256x256",
}
"""Under these, commands that are written for the real service run as they stand."""

SERVER = "imagemill simulate --port "
TOP_LEVEL_AWAIT = """
import ast, asyncio, inspect, sys
code = compile(sys.stdin.read(), "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
found = eval(code)
if inspect.iscoroutine(found):
    asyncio.run(found)
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. line: of its first line of content, in the README. section: under which heading it stands."""

    kind: str
    line: int
    section: str
    text: str


def blocks(readme: str) -> Iterator[Block]:
    """The fenced blocks in order."""
    section, kind, first, held = "", None, 0, list[str]()
    for number, line in enumerate(readme.splitlines(), 1):
        if kind is None and line.startswith("```"):
            kind, first, held = line[3:], number + 1, []
        elif kind is not None and line == "```":
            yield Block(kind, first, section, "\n".join(held))
            kind = None
        elif kind is not None:
            held.append(line)
        elif line.startswith("#"):
            section = line


def script(block: Block) -> str:
    """The block's commands for bash, each with the exit code that its comment announces (0 without one)."""
    lines = ["set -u"]
    for number, line in enumerate(block.text.splitlines(), block.line):
        assert line.startswith("$ "), f"line {number}: a console block holds commands only"
        code = re.search(r"# exit code (\d+)$", line)
        wanted = int(code[1]) if code else 0
        lines += [
            line[2:],
            f"code=$?; [ $code = {wanted} ] || {{ echo line {number}: exit code $code >&2; exit 1; }}",
        ]
    return "\n".join(lines)


@dataclass
class Reader:
    """Somebody who types what the README says, from top to bottom."""

    command: CommandLine
    servers: ExitStack
    serving: str = ""

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
                self._run(["bash", "-c", script(block)], block, "")
            case "python" if "import duckdb" not in block.text or importlib.util.find_spec("duckdb"):
                self._run([sys.executable, "-c", TOP_LEVEL_AWAIT], block, block.text)
            case "toml":
                name = block.text.splitlines()[0].removeprefix("# ")
                (self.command.cwd / name).write_text(block.text)

    def _run(self, arguments: list[str], block: Block, text: str) -> None:
        more: Mapping[str, str] = {} if self.serving else SIMULATED
        done = subprocess.run(
            arguments,
            input=text,
            cwd=self.command.cwd,
            env=self.command.environ(**more),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"README.md, block at line {block.line}:\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def readme() -> str:
    return readme_tables.README.read_text("utf-8")


def free_port() -> str:
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        return str(plug.getsockname()[1])


def test_every_block_works(command: CommandLine, samples: Path, readme: str) -> None:
    shutil.copytree(samples, command.cwd / "sample_batches")
    text = readme.replace("8765", free_port())
    for key in ("sk-your-key", "any-key"):
        assert f"_API_KEY={key}\n" in text
        text = text.replace(key, CANARY)
    with ExitStack() as servers:
        reader = Reader(command, servers)
        for block in blocks(text):
            reader.read(block)
    made = {path.parent.name for path in command.cwd.glob("runs/*/results.parquet")}
    assert {"quickstart", "first", "own", "capped", "bad", "python", "notebook"} <= made


def test_tables_are_what_the_code_says(readme: str) -> None:
    assert set(re.findall(r"<!-- table: ([a-z-]+) -->", readme)) == set(readme_tables.TABLES)
    assert readme_tables.filled(readme) == readme, "run: python tests/readme_tables.py"


def test_links_within_the_page_lead_somewhere(readme: str) -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in readme.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", readme)) <= headings


def test_every_option_and_command_that_is_named_exists(command: CommandLine, readme: str) -> None:
    listed = re.findall(r"^  ([a-z]+) +", command("--help").out.split("Commands:")[1], re.MULTILINE)
    assert set(re.findall(r"^\| `imagemill ([a-z]+)", readme, re.MULTILINE)) <= set(listed)
    known = {
        option for name in listed for option in re.findall(r"--[a-z][a-z-]+", command(name, "--help").out)
    }
    named = set(
        re.findall(
            r"(?<![\w-])--[a-z][a-z-]+", re.sub(r"<!--.*?-->|pip install .*|`python -m [^`]*`", "", readme)
        )
    )
    assert named <= known


def test_exit_codes_are_all_there(readme: str) -> None:
    table = readme.split("## Exit codes")[1].split("\n## ")[0]
    told = " ".join(re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE))
    assert set(map(int, re.findall(r"\d+", told))) == set(map(int, ExitCode))
