"""Images that are paid for and cannot be fetched: what is told of them, and what each command does until they are there."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs.brake import UNTRIED
from jobs.concurrency_window import START
from jobs.downloads import GONE_TWICE_MS
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended
from tests.support.imageservice import PNG
from tests.support.waiting import until

ROWS = 3
SIGNED = "Signature=s3cret"
OPTIONS = ("--price", "0.04", "--out", "out", "--json", "-q", "--set", "endpoint.fetch_timeout=0.2")


class Relay(ThreadingHTTPServer):
    """A service whose images are behind signed URLs. host: how these answer (`up`, `down`, `page`, `gone`, `hang`).

    images_at: what the URLs begin with; they are relative without it.
    """

    def __init__(self, address: str = "127.0.0.1", images_at: str = "") -> None:
        super().__init__((address, 0), _Handler)
        self.images_at = images_at
        self.host = "up"
        self.bought, self.fetched = 0, 0
        self.release = threading.Event()

    @property
    def base_url(self) -> str:
        """What the command is told."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Relay

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bought += 1
        url = f"{self.server.images_at}/img/{self.server.bought}.png?{SIGNED}"
        self._answer(200, json.dumps({"created": 1, "data": [{"url": url}]}).encode(), "application/json")

    def do_GET(self) -> None:
        self.server.fetched += 1
        if self.server.host == "hang":
            self.server.release.wait()
        status, body, kind = {
            "up": (200, PNG, "image/png"),
            "page": (200, b"<!doctype html><title>Soon</title>", "text/html"),
            "gone": (404, b"", "text/plain"),
        }.get(self.server.host, (503, b"upstream connect error", "text/plain"))
        self._answer(status if self.path.endswith(f"?{SIGNED}") else 403, body, kind)

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A relay that listens."""
    with serving(Relay()) as started:
        yield started


@contextmanager
def serving(relay: Relay) -> Iterator[Relay]:
    """The relay, listening for as long as the block runs."""
    with relay:
        thread = threading.Thread(target=relay.serve_forever, daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            relay.release.set()
            relay.shutdown()


def run(command: CommandLine, relay: Relay, *options: str) -> Ended:
    (command.cwd / "prompts.csv").write_text(
        "id,prompt\n" + "".join(f"r{i},a fox {i}\n" for i in range(ROWS))
    )
    arguments = ("run", "prompts.csv", "--base-url", relay.base_url, *OPTIONS, *options)
    return command(*arguments, environ=WITH_CANARY)


def told(out: Path) -> bytes:
    """All that the folder says, but for the ledger."""
    files = (path for path in out.rglob("*") if path.is_file() and not path.name.startswith("ledger"))
    return b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize("trouble", ["down", "page", "gone"])
@pytest.mark.parametrize("then", ["run", "retry"])
def test_an_image_that_was_made_is_never_bought_again(
    command: CommandLine, relay: Relay, trouble: str, then: str
) -> None:
    """G2, G14."""
    relay.host = trouble
    first = run(command, relay, "--set", "run.max_unusable=0")
    assert (first.code, first.json["by_status"]) == (3, {"pending": ROWS})
    assert (first.json["by_error"], first.json["folder"]["maybe_billed"]) == ({}, ROWS)
    assert {each["error_kind"] for each in first.json["failures"]} == {"download"}
    assert first.json["folder"]["cost_usd"] == pytest.approx(0.04 * ROWS)
    assert first.json["next"] == "imagemill run out/job.toml"
    assert SIGNED.encode() not in told(command.cwd / "out")
    assert {row["error_kind"] for row in command.results("out")} == {"download"}
    planned = command("plan", "out/job.toml", "--json").json
    assert (planned["requests"], planned["cost_usd"]["high"]) == (0, 0.0)

    relay.host = "up"
    arguments = ("run", "out/job.toml") if then == "run" else ("retry", "out")
    again = command(*arguments, "--json", "-q", environ=WITH_CANARY)
    assert (again.code, again.json["by_status"]) == (0, {"succeeded": ROWS})
    assert (again.json["folder"]["maybe_billed"], again.json["folder"]["requests_sent"], relay.bought) == (
        0,
        ROWS,
        ROWS,
    )
    assert again.json["folder"]["cost_usd"] == pytest.approx(0.04 * ROWS)
    assert command("verify", "out").code == 0
    assert SIGNED.encode() not in (command.cwd / "out" / "ledger.sqlite").read_bytes()
    fetched = relay.fetched
    assert command("retry", "out", "--json", environ=WITH_CANARY).code == 0
    assert (relay.bought, relay.fetched) == (ROWS, fetched)


def test_a_kill_between_the_answer_and_its_image_costs_nothing(command: CommandLine, relay: Relay) -> None:
    """G2. The URL is durable before the first byte of the image is asked for."""
    relay.host = "hang"
    (command.cwd / "prompts.csv").write_text("id,prompt\nr0,a fox\n")
    process = command.start("run", "prompts.csv", "--base-url", relay.base_url, *OPTIONS, environ=WITH_CANARY)
    until(lambda: relay.fetched > 0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    status = command("status", "out", "--json").json
    assert (status["by_status"], status["by_error"]) == ({"pending": 1}, {})
    assert [each["error_kind"] for each in status["failures"]] == ["download"]
    assert status["maybe_billed"] == 1

    relay.host = "up"
    relay.release.set()
    again = command("run", "out/job.toml", "--json", "-q", environ=WITH_CANARY)
    assert (again.code, again.json["by_status"], relay.bought) == (0, {"succeeded": 1}, 1)
    assert command("verify", "out").code == 0


def test_a_dead_url_is_a_failure_that_only_retry_buys_again(command: CommandLine, relay: Relay) -> None:
    relay.host = "gone"
    run(command, relay, "--set", "run.max_unusable=0")
    with closing(sqlite3.connect(command.cwd / "out" / "ledger.sqlite")) as ledger, ledger:
        ledger.execute(
            "UPDATE unfetched SET links = json_set(links, '$[0][3]', json_extract(links, '$[0][3]') - ?)",
            (GONE_TWICE_MS,),
        )
    dead = command("run", "out/job.toml", "--json", "-q", environ=WITH_CANARY)
    assert (dead.code, dead.json["by_status"], dead.json["folder"]["maybe_billed"]) == (
        3,
        {"failed": ROWS},
        ROWS,
    )
    assert dead.json["next"] == "imagemill failures out --error download"
    assert relay.bought == ROWS
    assert SIGNED.encode() not in (command.cwd / "out" / "ledger.sqlite").read_bytes()

    relay.host = "up"
    bought = command("retry", "out", "--json", "-q", environ=WITH_CANARY)
    assert (bought.code, bought.json["by_status"], relay.bought) == (0, {"succeeded": ROWS}, 2 * ROWS)


def test_the_next_run_fetches_from_a_host_that_the_user_has_allowed(command: CommandLine) -> None:
    with serving(Relay("127.0.0.2")) as host:
        place = f"127.0.0.2:{host.server_port}"
        with serving(Relay(images_at=f"http://{place}")) as relay:
            refused = run(command, relay, "--set", "run.max_unusable=0")
            assert (refused.code, refused.json["by_error"]) == (3, {})
            assert {each["error_kind"] for each in refused.json["failures"]} == {"download_refused"}
            assert place.encode() in told(command.cwd / "out")
            allowed = run(command, relay, "--set", f'endpoint.download_hosts=["{place}"]')
            assert (allowed.code, allowed.json["by_status"]) == (0, {"succeeded": ROWS})
            assert (relay.bought, host.fetched) == (ROWS, ROWS)


@pytest.mark.parametrize("named", ["http://127.0.0.1:1", "http://grok2api:8000"])
def test_images_of_a_service_that_names_its_own_container_are_fetched_from_its_host(
    command: CommandLine, named: str
) -> None:
    with serving(Relay(images_at=named)) as relay:
        lost = run(command, relay, "--set", "run.max_unusable=0")
        assert (lost.code, lost.json["by_status"]) == (3, {"pending": ROWS})
        assert b"endpoint.download_own=true" in told(command.cwd / "out")
        found = run(command, relay, "--set", "endpoint.download_own=true")
        assert (found.code, found.json["by_status"]) == (0, {"succeeded": ROWS})
        assert (relay.bought, relay.fetched) == (ROWS, ROWS)


def test_a_service_whose_images_lead_nowhere_is_not_paid_for_the_whole_manifest(
    command: CommandLine,
) -> None:
    """G17."""
    with serving(Relay(images_at="http://127.0.0.1:1")) as relay:
        (command.cwd / "many.csv").write_text("prompt\n" + "".join(f"a fox {i}\n" for i in range(100)))
        stopped = command("run", "many.csv", "--base-url", relay.base_url, *OPTIONS, environ=WITH_CANARY)
        assert stopped.code == 5
        assert relay.bought <= START + UNTRIED  # so many are in flight before three tell
