"""Who takes part: each makes the same images from the same load server, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.bench.peers import pictures
from tests.bench.peers.measuring import Failed, Looks, watched
from tests.bench.peers.programs import CannotRun, LoadServer, Serving
from tests.support.canary import WITH_CANARY
from tests.support.commandline import COMMAND, CommandLine

CLIENTS = Path(__file__).parent / "clients"
ROOT = Path(__file__).parents[3]
MILL, INSIDE, OPENAI, AIOHTTP, LIMIT = "imagemill", "imagemill inside", "openai SDK", "aiohttp", "yardstick"
UNCHECKED = "imagemill unchecked"
_OURS = (INSIDE, UNCHECKED)
"""Programs that import this package."""


@dataclass(frozen=True, slots=True)
class Task:
    """So many images, at most so many in flight."""

    serving: Serving
    images: int
    in_flight: int = 64
    check: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant's run. start_s: from the command to the first request; what follows counts from there to the end.

    told: what the program printed on its last line. grown_mb: memory added after the first minute (or fourth).
    """

    start_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    images: int
    grown_mb: float = 0.0
    stats: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Images a second, from the first request to the end of the process."""
        return self.images / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """CPU an image, in ms."""
        return self.cpu_s / self.images * 1000


@dataclass(frozen=True, slots=True)
class Ground:
    """Folders of a bench. programs: compiled programs and pictures. scratch: where images are written.

    kept: where long manifests are, and folders that know most of their rows; they may be from an earlier bench.
    check: `output.check` of imagemill's runs.
    """

    programs: Path
    scratch: Path
    kept: Path
    python_with_openai: str = ""
    check: str = "decode"

    def run(self, name: str, task: Task) -> Result:
        """Let one contestant do the task, in a new folder that is emptied afterwards."""
        work = Path(tempfile.mkdtemp(dir=self.scratch))
        try:
            with LoadServer(self.programs, task.serving) as server:
                (work / "out").mkdir()
                command = _COMMANDS[name](self, server, task, work)
                ours = {"PYTHONPATH": str(ROOT)} if name in _OURS else {}
                looks = watched(command, CommandLine(work).environ(**WITH_CANARY, **ours))
                stats = server.stats()
            if looks.code:
                raise Failed(f"{name} ended with {looks.code}: {looks.out.strip()[-400:]}")
            if task.check:
                self._check(name, task, work)
            return _result(looks, stats, task)
        finally:
            _emptied(work)

    def _check(self, name: str, task: Task, work: Path) -> None:
        kind = pictures.SMALL if task.serving.kind == pictures.SMALL else pictures.BIG
        saved = list(_saved(work / "out"))
        if len(saved) != task.images:
            raise Failed(f"{name} saved {len(saved)} of {task.images} images")
        wrong = pictures.wrong(self.programs, kind, saved)
        if wrong:
            raise Failed(
                f"{name} saved other bytes than were sent, for {len(wrong)} images such as {wrong[0]}"
            )


def _emptied(work: Path) -> None:
    """Give the space of a finished run back, and wait until that is done; the names go with the bench.

    ext4 passes over inodes that were freed in the last minutes, and looks at each of them whenever it needs one: with
    the files of one run deleted, the next would pay more for that than for anything else.
    """
    for path in work.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.truncate(path, 0)
    os.sync()


def _result(looks: Looks, stats: dict[str, Any], task: Task) -> Result:
    first: float = stats["first_s"]
    lines = looks.out.strip().splitlines()
    told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Result(
        first - looks.began_s,
        looks.ended_s - first,
        looks.cpu_after(first),
        looks.peak_mb,
        task.images,
        _grown_mb(looks, first, stats["last_s"]),
        stats,
        told,
    )


def _grown_mb(looks: Looks, first_s: float, last_s: float) -> float:
    """By how much the most memory after the first minute is above that of the minute, until the last answer."""
    minute_s = first_s + min(60.0, (last_s - first_s) / 2)
    return looks.most_mb(minute_s, last_s) - looks.most_mb(first_s, minute_s)


def _saved(out: Path) -> Iterable[tuple[int, Path]]:
    """The number of each prompt, and the file that was made from it."""
    table = out / "results.parquet"
    if not table.exists():
        yield from ((int(path.stem), path) for path in out.glob("*.png"))
        return
    for row in pq.read_table(table, columns=["prompt", "file_name"]).to_pylist():
        if row["file_name"]:
            yield int(row["prompt"].rpartition(" ")[2]), out / row["file_name"]


def write_prompts(path: Path, rows: int) -> None:
    """A CSV whose prompts end with their number."""
    lines = "".join(f'"A quiet harbour, number {row}"\n' for row in range(rows))
    path.write_text(f"prompt\n{lines}")


def _mill(ground: Ground, server: LoadServer, task: Task, work: Path) -> list[str]:
    write_prompts(work / "prompts.csv", task.images)
    options = ("--base-url", server.base_url, "--concurrency", str(task.in_flight), "--json", "-q")
    check = ("--set", f"output.check={ground.check}")
    return [COMMAND, "run", str(work / "prompts.csv"), *options, *check, "--out", str(work / "out")]


def _inside(_ground: Ground, server: LoadServer, task: Task, work: Path) -> list[str]:
    write_prompts(work / "prompts.csv", task.images)
    script = str(CLIENTS / "inside.py")
    arguments = [server.base_url, str(work / "prompts.csv"), str(task.in_flight), str(work / "out")]
    return [sys.executable, script, *arguments]


def _unchecked(ground: Ground, server: LoadServer, task: Task, work: Path) -> list[str]:
    return [sys.executable, str(CLIENTS / "unchecked.py"), *_mill(ground, server, task, work)[1:]]


def _openai(ground: Ground, server: LoadServer, task: Task, work: Path) -> list[str]:
    if not ground.python_with_openai:
        raise CannotRun("no openai SDK here")
    return [ground.python_with_openai, str(CLIENTS / "openai_gather.py"), *_usual(server, task, work)]


def _aiohttp(_ground: Ground, server: LoadServer, task: Task, work: Path) -> list[str]:
    return [sys.executable, str(CLIENTS / "plain_aiohttp.py"), *_usual(server, task, work)]


def _usual(server: LoadServer, task: Task, work: Path) -> list[str]:
    return [server.base_url, str(task.images), str(task.in_flight), str(work / "out")]


def _limit(ground: Ground, server: LoadServer, task: Task, work: Path) -> list[str]:
    numbers = (server.port, task.images, task.in_flight)
    return [str(ground.programs / "yardstick"), *map(str, numbers), str(work / "out")]


_COMMANDS: dict[str, Callable[[Ground, LoadServer, Task, Path], list[str]]] = {
    MILL: _mill,
    INSIDE: _inside,
    UNCHECKED: _unchecked,
    OPENAI: _openai,
    AIOHTTP: _aiohttp,
    LIMIT: _limit,
}


def python_with_openai() -> str:
    """A Python that has the openai SDK: ours, or one made for it below the temporary folder; empty where none can be had."""
    if importlib.util.find_spec("openai") is not None:
        return sys.executable
    home = Path(tempfile.gettempdir()) / f"imagemill-bench-openai-{os.getuid()}"
    python = home / "bin" / "python"
    if (home / "ready").exists():
        return str(python)
    made = [[sys.executable, "-m", "venv", str(home)], [str(python), "-m", "pip", "install", "-q", "openai"]]
    try:
        for command in made:
            subprocess.run(command, check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError):
        return ""
    (home / "ready").touch()
    return str(python)
