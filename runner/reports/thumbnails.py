"""The thumbnails of a report: sheets that only ever grow in number, and an index by the digest of the image.

`thumbs/index.csv` has a line `sha256,sheet,place,width,height` for each. A sheet is whole before its lines are written, so a
report that was killed half-way loses one sheet of work. An image that is known is never opened again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock, Thread
from typing import Any, NamedTuple

from runner.reports.thumbnail_process import ACROSS, SIDE
from schemas.errors import ExitCode, JobError

PROCESSES = 2
INDEX = "index.csv"
_CODE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from runner.reports.thumbnail_process import main; main()"
)


class Thumbnail(NamedTuple):
    """Where an image's thumbnail is. width, height: of the thumbnail, in pixels."""

    sheet: int
    place: int
    width: int
    height: int


@dataclass
class Thumbnails:
    """The sheets in one folder. drawn: how many thumbnails this report has made; broken: digest -> missing or damaged."""

    folder: Path
    known: dict[str, Thumbnail] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    drawn: int = 0
    _next: int = 0
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def open(cls, folder: Path) -> Thumbnails:
        """What earlier reports have drawn there; sheets that are gone are drawn anew. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        sheets = {
            int(path.stem) for path in folder.iterdir() if path.suffix == ".jpg" and path.stem.isdecimal()
        }
        made = cls(folder, _next=max(sheets, default=-1) + 1)
        with suppress(FileNotFoundError):
            for line in (folder / INDEX).read_text("ascii", "replace").splitlines():
                digest, *numbers = line.split(",")
                if len(numbers) == 4 and all(each.isdecimal() for each in numbers):
                    found = Thumbnail(*map(int, numbers))
                    if found.sheet in sheets:
                        made.known[digest] = found
        return made

    def draw(self, images: Iterable[tuple[str, Path]], told: Callable[[int], None]) -> None:
        """Draw those that are not known. images: digest and file. told: hears how many are done.

        Raises JobError (exit 9) where the sheets cannot be written.
        """
        fresh = self._fresh(images)
        tasks = iter(lambda: list(islice(fresh, ACROSS * ACROSS)), [])
        with (self.folder / INDEX).open("a", encoding="ascii") as index:

            def take() -> tuple[dict[str, Any], Callable[[list[Any]], None]] | None:
                batch = next(tasks, None)
                if batch is None:
                    return None
                sheet, self._next = self._next, self._next + 1
                task = {
                    "sheet": str(self.folder / sheet_name(sheet)),
                    "files": [str(file) for _, file in batch],
                }

                def keep(answers: list[Any]) -> None:
                    for (digest, _), answer in zip(batch, answers, strict=True):
                        if isinstance(answer, str):
                            self.broken[digest] = answer
                            continue
                        width, height, place = answer
                        self.known[digest] = Thumbnail(sheet, place, width, height)
                        index.write(f"{digest},{sheet},{place},{width},{height}\n")
                        self.drawn += 1
                    index.flush()
                    told(self.drawn)

                return task, keep

            work(take, self._lock)

    def _fresh(self, images: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
        seen: set[str] = set()
        for digest, file in images:
            if digest not in seen and digest not in self.known:
                seen.add(digest)
                yield digest, file


def inline_images(images: list[tuple[str, Path]], side: int) -> dict[str, list[Any] | str]:
    """Small copies as data URLs, by digest; what is wrong with those that have none."""
    found: dict[str, list[Any] | str] = {}
    left = iter(images)

    def take() -> tuple[dict[str, Any], Callable[[list[Any]], None]] | None:
        batch = list(islice(left, 8))
        if not batch:
            return None

        def keep(answers: list[Any]) -> None:
            found.update(zip((digest for digest, _ in batch), answers, strict=True))

        return {"side": side, "files": [str(file) for _, file in batch]}, keep

    work(take, Lock())
    return found


def sheet_name(sheet: int) -> str:
    """The file of a sheet."""
    return f"{sheet:06}.jpg"


def geometry() -> dict[str, int]:
    """What the page needs to find a thumbnail on its sheet."""
    return {"side": SIDE, "across": ACROSS}


Task = tuple[dict[str, Any], Callable[[list[Any]], None]]


def work(take: Callable[[], Task | None], lock: Lock) -> None:
    """Have processes do tasks until there are none. take, and what is done with an answer, run under the lock."""
    errors: list[BaseException] = []

    def worker(process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        try:
            while not errors:
                with lock:
                    task = take()
                if task is None:
                    return
                process.stdin.write(json.dumps(task[0]) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    raise JobError(
                        "the thumbnails could not be drawn: "
                        + (process.stderr.read()[-300:].strip() if process.stderr is not None else ""),
                        fix="is there room on the disk of the report? --dest puts it elsewhere",
                        exit_code=ExitCode.LOCAL,
                    )
                with lock:
                    task[1](json.loads(line))
        except (OSError, JobError) as error:
            errors.append(error)

    with ExitStack() as stack:
        processes = [_start(stack) for _ in range(PROCESSES)]
        threads = [Thread(target=worker, args=(process,), daemon=True) for process in processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def _start(stack: ExitStack) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _CODE, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
