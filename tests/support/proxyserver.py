"""A real proxy in a process of its own, and its own account of what it was asked for."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

_ASKED = re.compile(r"access_log:\d+ - [\d.]+:\d+ - (?P<method>[A-Z]+) (?P<where>\S+)")


class ProxyServer(AbstractContextManager["ProxyServer"]):
    """`proxy.py` on a free port of this machine. credentials: `user:password` that it asks for."""

    def __init__(self, folder: Path, credentials: str = "") -> None:
        self._log = folder / "proxy.log"
        port_file = folder / "proxy.port"
        options = ["--hostname", "127.0.0.1", "--port", "0", "--port-file", str(port_file)]
        options += ["--num-workers", "1", "--num-acceptors", "1", "--log-file", str(self._log)]
        options += ["--basic-auth", credentials] if credentials else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proxy", *options],
            cwd=folder,
            env={"HOME": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not (port_file.exists() and port_file.read_text().strip()):
            assert self._process.poll() is None and time.monotonic() < deadline, "the proxy does not start"
            time.sleep(0.02)
        self.address = f"127.0.0.1:{port_file.read_text().split()[0]}"
        self.url = f"http://{self.address}"

    def asked(self) -> list[tuple[str, str]]:
        """Method, and what came after it, of each request; it writes them down when their connection has ended."""
        return [(found["method"], found["where"]) for found in _ASKED.finditer(self._log.read_text())]

    def asked_at_least(self, times: int) -> list[tuple[str, str]]:
        """The same, once there are so many."""
        deadline = time.monotonic() + 30
        while len(self.asked()) < times:
            assert time.monotonic() < deadline, self.asked()
            time.sleep(0.02)
        return self.asked()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
