"""`imagemill doctor`: what it finds, where it sends the key, and what it exits with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.runner.cli.conftest import Imagemill
from tests.support.canary import CANARY, WITH_CANARY, is_in


class Service(ThreadingHTTPServer):
    """Answers every request with `status` and remembers it."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.seen: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization")))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def levels(told: Any) -> dict[str, str]:
    return {check["name"]: check["level"] for check in told["checks"]}


@pytest.mark.parametrize(
    ("status", "level", "code"),
    [
        (200, "warn", 0),
        (401, "fail", 4),
        (403, "fail", 4),
        (404, "ok", 0),
        (302, "warn", 0),
        (429, "warn", 0),
        (502, "warn", 0),
    ],
)
def test_one_get_and_what_its_status_means(
    imagemill: Imagemill, service: Service, status: int, level: str, code: int
) -> None:
    service.status = status
    done = imagemill("doctor", "--base-url", service.url, "--json", **WITH_CANARY)
    assert service.seen == [("GET", "/v1/models", f"Bearer {CANARY}")]
    assert (done.code, done.json["exit_code"], levels(done.json)["endpoint"]) == (code, code, level)
    assert not is_in((done.out + done.err).encode())
    assert "the environment (IMAGEMILL_API_KEY)" in done.out


def test_a_line_for_each_check(imagemill: Imagemill, service: Service) -> None:
    done = imagemill("doctor", "--base-url", service.url, **WITH_CANARY)
    names = [line.split()[1] for line in done.out.splitlines()]
    assert names == [
        *("python", "imagemill", "aiohttp", "pyarrow", "pandas", "sqlite"),
        *("key", "endpoint", "output", "descriptors"),
    ]


def test_nothing_listens(imagemill: Imagemill, service: Service) -> None:
    service.server_close()
    done = imagemill("doctor", "--base-url", service.url, "--json", **WITH_CANARY)
    assert (done.code, levels(done.json)["endpoint"]) == (5, "fail")


def test_no_key(imagemill: Imagemill) -> None:
    done = imagemill("doctor", "--json")
    assert (done.code, levels(done.json)["key"]) == (2, "fail")
    assert "endpoint" not in levels(done.json)


@pytest.mark.parametrize(("status", "level"), [(200, "warn"), (401, "ok"), (404, "ok")])
def test_without_a_key_an_endpoint_of_ones_own_is_still_looked_at(
    imagemill: Imagemill, service: Service, status: int, level: str
) -> None:
    service.status = status
    done = imagemill("doctor", "--base-url", service.url, "--json")
    assert [(method, path) for method, path, _ in service.seen] == [("GET", "/v1/models")]
    assert (done.code, levels(done.json)["key"], levels(done.json)["endpoint"]) == (2, "fail", level)
    assert "Bearer" not in str(service.seen)
    service.server_close()
    gone = imagemill("doctor", "--base-url", service.url, "--json")
    assert levels(gone.json)["endpoint"] == "fail"


def test_the_simulator_needs_neither(imagemill: Imagemill) -> None:
    done = imagemill("doctor", "--simulate", "--json")
    assert (done.code, levels(done.json)["key"]) == (0, "ok")


def test_the_output_folder(imagemill: Imagemill, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("simulate = true\nout = 'taken/run'\n")
    assert levels(imagemill("doctor", "job.toml", "--json").json)["output"] == "ok"
    assert not (tmp_path / "taken").exists()
    (tmp_path / "taken").write_text("a file")
    done = imagemill("doctor", "job.toml", "--json")
    assert (done.code, levels(done.json)["output"]) == (2, "fail")
