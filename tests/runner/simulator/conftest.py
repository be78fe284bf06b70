"""The simulator as a user meets it: a process of its own, asked over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.simulator.faults.kinds import KINDS
from tests.canary import CANARY

COMMAND = [sys.executable, "-m", "runner.simulator"]
ORDER = {
    "model": "gpt-image-2-official",
    "prompt": "a small boat",
    "size": "64x64",
    "response_format": "b64_json",
}


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json()["error"]
        assert set(found) == {"message", "type", "param", "code"}
        return found


@dataclass
class Simulator:
    port: int
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def order(self, key: str = CANARY, **fields: Any) -> Reply:
        """POST an order for a small image; a field given as None is left out."""
        body = {name: value for name, value in (ORDER | fields).items() if value is not None}
        return self.send(json.dumps(body).encode(), Authorization=f"Bearer {key}")

    def send(self, raw: bytes, **headers: str) -> Reply:
        kind = {"Content-Type": "application/json"}
        return self.ask("POST", "/v1/images/generations", raw, **(kind | headers))

    def open(self, **fields: Any) -> socket.socket:
        """A connection on which an order has been sent and nothing read."""
        body = json.dumps(ORDER | fields).encode()
        head = (
            f"POST /v1/images/generations HTTP/1.1\r\nHost: simulated\r\nAuthorization: Bearer {CANARY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        plug = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        plug.sendall(head.encode() + body)
        return plug

    def raw(self, **fields: Any) -> bytes:
        """Every byte of the answer until the server closes."""
        with self.open(**fields) as plug:
            return b"".join(iter(lambda: plug.recv(65_536), b""))

    def wait_for(self, name: str, value: int) -> None:
        """Until this figure of `/stats` has this value; fails after ten seconds."""
        for _ in range(1_000):
            if self.stats()[name] == value:
                return
            time.sleep(0.01)
        raise AssertionError(self.stats())

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/stats").json()
        return found


Start = Callable[..., Simulator]


def _starter(folder: Path) -> Iterator[Start]:
    running: list[Simulator] = []

    def start(*options: str, scenario: str | None = None) -> Simulator:
        arguments = [*COMMAND, *(options or ("--latency", "0"))]
        if scenario is not None:
            path = folder / f"scenario{len(running)}.toml"
            path.write_text(scenario, encoding="utf-8")
            arguments += ["--scenario", str(path)]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("base_url=http://127.0.0.1:"), first
        running.append(Simulator(int(first.rsplit(":", 1)[1].split("/")[0]), process))
        return running[-1]

    yield start
    for simulator in running:
        simulator.process.terminate()
        _, complaints = simulator.process.communicate(timeout=20)
        assert complaints == ""
        assert simulator.process.returncode == 0


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Start]:
    """Starts simulators; at the end each must stop with exit code 0 and an empty stderr."""
    yield from _starter(tmp_path)


@pytest.fixture(scope="module")
def simulate_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """The same, for a simulator that a module shares."""
    yield from _starter(tmp_path_factory.mktemp("simulator"))


QUICK = {
    "slow": "delay = 0.01",
    "url_slow": "delay = 0.01",
    "drip": "delay = 0",
    "huge_body": "at_byte = 700000",
}


@pytest.fixture(scope="module")
def faulty(simulate_once: Start) -> Simulator:
    """A simulator where the prompt `kind NAME;` meets that fault, whichever it is."""
    faults = [
        f"[[fault]]\nmatch = '^kind {name};'\nkind = '{name}'\n{QUICK.get(name, '')}\n" for name in KINDS
    ]
    return simulate_once(scenario="latency = { median = 0 }\n" + "\n".join(faults))


@pytest.fixture(scope="module")
def dieyuyun(simulate_once: Start) -> Simulator:
    """A simulator with the default profile."""
    return simulate_once("--latency", "0")


@pytest.fixture(scope="module")
def openai(simulate_once: Start) -> Simulator:
    """A simulator with OpenAI's behaviour."""
    return simulate_once("--latency", "0", "--profile", "openai")
