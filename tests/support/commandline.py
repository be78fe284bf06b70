"""The installed command and the stand-alone simulator as a user meets them: processes with an environment of their own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import pyarrow.parquet as pq
from PIL import Image

COMMAND = str(Path(sys.executable).with_name("imagemill"))
AT_ONCE = ("--set", "simulator.latency=0")
"""Options under which the embedded simulator answers without waiting."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished process."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object on the last line of stdout."""
        document: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return document

    def is_one_message(self) -> bool:
        """Whether an `error:` and its `fix:` on stderr are all that was printed."""
        starts = [line.partition(" ")[0] for line in self.err.splitlines() if not line.startswith("  ")]
        return starts == ["error:", "fix:"] and self.out == ""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`imagemill` in a folder and a home of its own; no key, proxy or setting of this machine reaches it."""

    cwd: Path

    def environ(self, **more: str) -> dict[str, str]:
        """The environment that the command gets."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return {"PATH": path, "HOME": str(self.cwd), "LANG": "C.UTF-8", "TERM": "dumb", **more}

    def __call__(
        self,
        *arguments: str | Path,
        environ: Mapping[str, str] | None = None,
        timeout_s: float = 300,
        program: str = COMMAND,
    ) -> Ended:
        """Run to the end. environ: added to the clean environment. program: another one, such as Python."""
        done = subprocess.run(
            [program, *map(str, arguments)],
            cwd=self.cwd,
            env=self.environ(**(environ or {})),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(
        self, *arguments: str | Path, environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start without waiting; stderr goes with stdout."""
        return subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            cwd=self.cwd,
            env=self.environ(**(environ or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def results(self, out: str | Path) -> list[dict[str, Any]]:
        """The rows of `results.parquet`."""
        rows: list[dict[str, Any]] = pq.read_table(self.cwd / out / "results.parquet").to_pylist()
        return rows


class Service(AbstractContextManager["Service"]):
    """`imagemill simulate` with options, for as long as the block lasts."""

    def __init__(self, command: CommandLine, *options: str) -> None:
        self._process = command.start("simulate", *options)
        assert self._process.stdout is not None
        first = self._process.stdout.readline().strip()
        assert first.startswith("base_url="), first
        self.base_url = first.removeprefix("base_url=")

    def stats(self) -> dict[str, Any]:
        """What it has received and billed so far."""
        with urllib.request.urlopen(urljoin(self.base_url, "/stats"), timeout=10) as answer:
            document: dict[str, Any] = json.load(answer)
        return document

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)


def decoded(path: Path) -> tuple[str, tuple[int, int]]:
    """Format and size of an image file, every pixel of it decoded."""
    with Image.open(path) as image:
        image.load()
        return str(image.format).lower(), image.size


def on_a_terminal(*arguments: str, columns: int = 80, cwd: Path | None = None) -> str:
    """What the command writes when its output is a terminal of this width."""
    pid, descriptor = pty.fork()
    if pid == 0:
        termios.tcsetwinsize(0, (50, columns))
        os.chdir(cwd or ".")
        environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # readline sets it
        os.execve(COMMAND, ["imagemill", *arguments], environ)
    chunks: list[bytes] = []
    with contextlib.suppress(OSError):
        while chunk := os.read(descriptor, 65_536):
            chunks.append(chunk)
    os.close(descriptor)
    os.waitpid(pid, 0)
    return b"".join(chunks).decode()
