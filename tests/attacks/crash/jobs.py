"""One job under attack: its folder, its manifest, its command line, and the runs that it takes."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.crash.forkserver import Child, ForkServer, Run
from tests.attacks.crash.judge import Judge
from tests.attacks.crash.rows import SORTS, CrashRow, Sort, draw_rows, write_manifest
from tests.attacks.crash.witness import Witness
from tests.attacks.faults.journal import History
from tests.support.canary import leaks

KEY_ENV = "CRASH_API_KEY"
KEY = "sk-canary-2b8e64d1f0a97c35"
HANG_S = 120.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What all jobs share. work: folder for their folders; logs: for what they print."""

    work: Path
    logs: Path
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
        self, traps: dict[str, int] | None = None, *, key: str = KEY, options: tuple[str, ...] = ()
    ) -> Child:
        """Fork a run of the job. traps: see `Run`; None: its moments are not watched."""
        output = str(self._log(next(self._runs)))
        record = None if traps is None else str(self._moments)
        arguments, environ = self._arguments(options), self._environ(key)
        return self._ground.server.start(
            Run(arguments, str(self.folder), environ, output, traps or {}, record)
        )

    def moments(self) -> tuple[str, dict[str, int]]:
        """The moment at which the last watched run was trapped, "" for none, and how often it passed each."""
        text = self._moments.read_text(encoding="utf-8")
        if not text:
            return "", {}
        (last, passed), _ = json.JSONDecoder().raw_decode(text)  # two threads may have come to a trap each
        return last, passed

    @property
    def _moments(self) -> Path:
        return self._ground.logs / f"{self.name}.moments"

    def _log(self, number: int) -> Path:
        return self._ground.logs / f"{self.name}-{number}"

    def start_process(self) -> subprocess.Popen[bytes]:
        """Start a run in a fresh interpreter, as a user does."""
        program = str(Path(sys.executable).with_name("imagemill"))
        output = self._log(next(self._runs))
        with output.with_suffix(".stdout").open("wb") as out, output.with_suffix(".stderr").open("wb") as err:
            return subprocess.Popen(
                [program, *self._arguments()],
                cwd=self.folder,
                env=self._environ(KEY),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def leaks(self) -> list[str]:
        """G14: where the key is, below the job's folder."""
        return [f"G14: {text}" for text in leaks(self.folder)]

    def history(self) -> History:
        """What the server saw of this job."""
        return self._ground.witness.history(self.judge.prompts)

    def requests(self) -> int:
        """POSTs of this job that the server saw."""
        return len(self.history().all("request"))

    def await_requests(self, count: int) -> bool:
        """Wait until the server has seen so many; False when it does not for too long."""
        deadline = time.monotonic() + HANG_S
        while time.monotonic() < deadline:
            if self.requests() >= count:
                return True
            time.sleep(0.01)
        return False

    def _environ(self, key: str) -> dict[str, str]:
        return {"PATH": os.defpath, "HOME": str(self.folder), KEY_ENV: key, "LANG": "C.UTF-8"}

    def _arguments(self, options: tuple[str, ...] = ()) -> tuple[str, ...]:
        fixed = ("run", "manifest.csv", "--out", "out", "--base-url", self._ground.witness.base_url)
        quiet = ("--api-key-env", KEY_ENV, "--json", "--progress", "none")
        whole = (
            "--set",
            "run.max_unusable=0",
        )  # else a job that begins with three unusable answers would end there
        return (*fixed, *quiet, *whole, "--concurrency", str(self.concurrency), *options)
