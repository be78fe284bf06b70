"""The two C programs, compiled when they are needed: the load server and the yardstick."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.bench.peers.pictures import PICTURES

HERE = Path(__file__).parent


class CannotRun(Exception):
    """What this machine lacks for a bench; ready to show."""


def compiled(folder: Path) -> None:
    """Compile `loadserver` and `yardstick` into the folder. Raises CannotRun where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise CannotRun("no C compiler (cc) here")
    for name, options in {"loadserver": ("-O2",), "yardstick": ("-O3", "-march=native")}.items():
        command = [compiler, *options, "-o", str(folder / name), str(HERE / f"{name}.c")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise CannotRun(f"cc refuses {name}.c: {done.stderr.strip()[:300]}")


@dataclass(frozen=True, slots=True)
class Serving:
    """What the load server answers. kind: big, small or url. closing: it closes every connection after its answer."""

    kind: str
    latency_ms: int = 0
    closing: bool = False


class LoadServer(AbstractContextManager["LoadServer"]):
    """The load server on a free port, for as long as the block lasts. folder: has the programs and the pictures."""

    def __init__(self, folder: Path, serving: Serving) -> None:
        close = "close" if serving.closing else "keep"
        command = [folder / "loadserver", folder, serving.kind, str(PICTURES), str(serving.latency_ms), close]
        self._process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """posts, gets, answered, connections, most_in_flight; first_s and last_s on the monotonic clock."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=30) as answer:
            document: dict[str, Any] = json.load(answer)
        return document

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)
