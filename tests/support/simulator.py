"""The stand-alone simulator as a test asks it: a process with a port, orders over real sockets, replies as they come."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.canary import CANARY

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

    def ask(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> Reply:
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
"""Starts a simulator: its options, or none for one that answers at once, and `scenario`, the text of its scenario file."""
