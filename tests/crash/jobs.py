"""One job under attack: its folder, its manifest, its command line, and the runs that it takes."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.crash.forkserver import Child, ForkServer, Run
from tests.crash.judge import Judge
from tests.crash.rows import SORTS, CrashRow, Sort, draw_rows, write_manifest
from tests.crash.witness import Witness
from tests.faults.journal import History

KEY_ENV = "CRASH_API_KEY"
KEY = "sk-canary-2b8e64d1f0a97c35"
HANG_S = 120.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What all jobs share. work: folder for their folders."""

    work: Path
    server: ForkServer
    witness: Witness


class Job:
    """A manifest in a folder of its own, run as often as it takes.

    slots: concurrencies to draw from. first: sort of the rows that fill every slot at the start.
    """

    def __init__(
        self,
        ground: Ground,
        name: str,
        chance: random.Random,
        *,
        count: int,
        sorts: tuple[Sort, ...] = SORTS,
        slots: tuple[int, ...] = (1, 2, 4, 8),
        first: Sort | None = None,
    ) -> None:
        self.name = name
        self.folder = ground.work / name
        self.folder.mkdir()
        self.out = self.folder / "out"
        self.concurrency = chance.choice(slots)
        opening = [first] * self.concurrency if first else []
        self.rows: list[CrashRow] = draw_rows(name, count, chance, sorts, opening)
        write_manifest(self.folder / "manifest.csv", self.rows)
        self.judge = Judge(self.out, self.rows, self.concurrency)
        self._ground = ground
        self._runs = itertools.count()

    def start(
        self, trap: tuple[str, int] | None = None, *, key: str = KEY, options: tuple[str, ...] = ()
    ) -> Child:
        """Fork a run of the job."""
        number = next(self._runs)
        output = str(self.folder / f"run-{number}")
        record = f"{output}.moments" if trap == ("", 0) else None
        environ = self._environ(key)
        return self._ground.server.start(
            Run(self._arguments(options), str(self.folder), environ, output, trap, record)
        )

    def start_process(self) -> subprocess.Popen[bytes]:
        """Start a run in a fresh interpreter, as a user does."""
        program = str(Path(sys.executable).with_name("imagemill"))
        output = self.folder / f"run-{next(self._runs)}"
        with output.with_suffix(".stdout").open("wb") as out, output.with_suffix(".stderr").open("wb") as err:
            return subprocess.Popen(
                [program, *self._arguments()],
                cwd=self.folder,
                env=self._environ(KEY),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def history(self) -> History:
        """What the server saw of this job."""
        return self._ground.witness.history(self.judge.prompts)

    def requests(self) -> int:
        """POSTs of this job that the server saw."""
        return len(self.history().all("request"))

    def _environ(self, key: str) -> dict[str, str]:
        return {"PATH": os.defpath, "HOME": str(self.folder), KEY_ENV: key, "LANG": "C.UTF-8"}

    def _arguments(self, options: tuple[str, ...] = ()) -> tuple[str, ...]:
        fixed = ("run", "manifest.csv", "--out", "out", "--base-url", self._ground.witness.base_url)
        quiet = ("--api-key-env", KEY_ENV, "--json", "--progress", "none")
        return (*fixed, *quiet, "--concurrency", str(self.concurrency), *options)
