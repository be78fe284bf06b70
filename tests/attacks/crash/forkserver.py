"""A process that has imported everything once and forks a child a run, so that a kill costs no fresh interpreter.

`python -m tests.attacks.crash.forkserver` reads one JSON request a line and writes one JSON event a line:

    {"run": {argv, cwd, environ, output, traps, record}}  ->  {"started": pid}
    {"signal": number, "pid": pid}               ->  nothing (a child that has ended is left alone)
                                                     {"ended": pid, "code": exit code, negative for a signal}

A child runs `imagemill` as the command does, up to and including the interpreter's own end.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from runner.cli.main import main
from tests.attacks.crash.trap import Trap

QUIET_IMPORTS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Keeps imports from starting threads, which no fork would take along."""

_IMPORTED = (
    *("pandas", "pyarrow.compute", "pyarrow.parquet", "rich.traceback", "structlog"),
    *("runner.app.use_cases", "runner.config.loader", "runner.telemetry.logs", "runner.telemetry.progress"),
    *(
        "runner.cli.lines.plan",
        "runner.cli.main",
        "runner.cli.console",
        "runner.cli.commands.run",
        "runner.cli.commands.status",
    ),
    *("runner.cli.commands.retry", "runner.retry.prepare"),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One `imagemill` to start. output: stdout and stderr go to files of this name with `.stdout`, `.stderr`.

    traps: labels of the moments at which it kills itself, and which of their occurrences, from 1; the first one counts.
    record: file for the moments that it passed, as JSON, the last one first; None: they are not counted.
    """

    argv: tuple[str, ...]
    cwd: str
    environ: dict[str, str]
    output: str
    traps: dict[str, int] = field(default_factory=dict)
    record: str | None = None


def preload() -> None:
    """Import what a run imports, sooner or later."""
    for name in _IMPORTED:
        import_module(name)
    Image.preinit()


def become(run: dict[str, Any]) -> int:
    """In the child: run the command and return its exit code."""
    for number in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    os.chdir(run["cwd"])
    os.environ.clear()
    os.environ.update(run["environ"])
    for descriptor, name in ((0, os.devnull), (1, f"{run['output']}.stdout"), (2, f"{run['output']}.stderr")):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if descriptor else 0), 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    if run["record"] is None:
        return main(run["argv"])
    trap = Trap(run["traps"], Path(run["record"]))
    trap.set()
    code = main(run["argv"])
    trap.tell("")
    return code


class Server:
    """The loop of the forking process."""

    def __init__(self) -> None:
        self._living: set[int] = set()
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> int:
        """Until stdin ends; then the children are killed. In a child: its exit code."""
        rest = b""
        while True:
            ready, _, _ = select.select([0, self._wake], [], [])
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
                self._reap()
            if 0 in ready:
                data = os.read(0, 1 << 16)
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    code = self._obey(json.loads(line))
                    if code is not None:
                        return code
        for pid in self._living:
            os.kill(pid, signal.SIGKILL)
        return 0

    def _obey(self, request: dict[str, Any]) -> int | None:
        if "signal" in request:
            if request["pid"] in self._living:
                os.kill(request["pid"], request["signal"])
            return None
        pid = os.fork()
        if pid == 0:
            return become(request["run"])
        self._living.add(pid)
        _say({"started": pid})
        return None

    def _reap(self) -> None:
        while self._living:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._living.discard(pid)
            _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _say(event: dict[str, int]) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


@dataclass(frozen=True, slots=True)
class Child:
    """A started run. ended: its exit code, negative for the signal that killed it."""

    pid: int
    ended: Future[int]
    server: ForkServer

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the child has ended."""
        self.server.request({"signal": int(number), "pid": self.pid})

    def freeze(self) -> None:
        """Stop it; returns when none of its threads runs a program any more, or when it has ended."""
        self.signal(signal.SIGSTOP)
        while not self.ended.done() and not self._stands_still():
            time.sleep(0.001)

    def _stands_still(self) -> bool:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stats = [path.read_text() for path in Path(f"/proc/{self.pid}/task").glob("*/stat")]
            return all(text.rpartition(")")[2].split()[0] in "TDZX" for text in stats)
        return False

    def wait(self, timeout_s: float) -> int | None:
        """The exit code; None when it still runs after so long."""
        try:
            return self.ended.result(timeout_s)
        except TimeoutError:
            return None


class ForkServer:
    """The campaign's end of a fork server. Use as a context manager; may be shared by threads."""

    def __enter__(self) -> ForkServer:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.crash.forkserver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ) | QUIET_IMPORTS,
        )
        self._starting = threading.Lock()
        self._writing = threading.Lock()
        self._started: Future[int] = Future()
        self._children: dict[int, Future[int]] = {}
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def start(self, run: Run) -> Child:
        """Fork a child for the run."""
        with self._starting:
            self._started = Future()
            self.request({"run": asdict(run)})
            pid = self._started.result(60)
            return Child(pid, self._children[pid], self)

    def request(self, message: dict[str, Any]) -> None:
        """Write one request."""
        assert self._process.stdin
        with self._writing:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            event = json.loads(line)
            if "started" in event:
                self._children[event["started"]] = Future()
                self._started.set_result(event["started"])
            else:
                self._children.pop(event["ended"]).set_result(event["code"])


if __name__ == "__main__":
    preload()
    sys.exit(Server().serve())
