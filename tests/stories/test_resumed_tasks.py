"""A run that ends while tasks are being made: what is told of them, and what the next run does."""

from __future__ import annotations

import base64
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Service
from tests.support.imageservice import PNG
from tests.support.servedjob import ServedJob, last_object
from tests.support.waiting import until

ROWS = 5


def test_tasks_that_are_being_made_are_neither_parked_nor_planned_nor_sent_again(
    command: CommandLine,
) -> None:
    (command.cwd / "prompts.csv").write_text(
        "id,prompt\n" + "".join(f"r{i},picture {i}\n" for i in range(ROWS))
    )
    with Service(command, "--dialect", "evolink", "--latency", "3") as service:
        process = ServedJob(command, service, ROWS).start("--set", "endpoint.poll_every=0.1")
        until(lambda: service.stats()["polls"] >= ROWS)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            until(lambda: process.poll() is not None or service.stats()["polls_in_flight"] == 0)
        cut = last_object(process)
        if cut["by_status"].get("succeeded", 0) < ROWS:
            assert set(cut["by_status"]) <= {"pending", "succeeded"}
            assert cut["next"] == "imagemill run out/job.toml"
            planned = command("plan", "out/job.toml", "--json").json
            assert planned["requests"] == 0
            assert any("wait for a task or an image" in warning["message"] for warning in planned["warnings"])
            assert {row["task_id"] is None for row in command.results("out")} == {False}
        again = command("run", "out/job.toml", "--json", "-q", environ=WITH_CANARY)
        assert (again.code, again.json["by_status"]) == (0, {"succeeded": ROWS})
        stats = service.stats()
        assert (stats["tasks"]["submitted"], stats["tasks"]["collected"]) == (ROWS, ROWS)
        assert command("verify", "out").code == 0


class SignedPolls(ThreadingHTTPServer):
    """A service whose tasks are asked for at URLs with a query, and refused without it.

    refusal: the status of a poll without its query. ready: whether the images are made. revoked: tasks that are refused
    with their query too.
    """

    def __init__(self, refusal: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refusal, self.ready = refusal, False
        self.submitted, self.polls = 0, 0
        self.revoked: set[str] = set()

    @property
    def base_url(self) -> str:
        """What the command is told."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: SignedPolls

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.submitted += 1
        task = f"task-{self.server.submitted}"
        url = f"{self.server.base_url}/get_result?id={task}&sig=SIGNED"
        self._answer(200, {"id": task, "status": "Pending", "polling_url": url})

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.server.polls += 1
        if query.get("sig") != ["SIGNED"] or query["id"][0] in self.server.revoked:
            self._answer(self.server.refusal, {"detail": "no signature"})
        elif not self.server.ready:
            self._answer(200, {"id": query["id"][0], "status": "Pending"})
        else:
            image = base64.b64encode(PNG).decode()
            self._answer(200, {"id": query["id"][0], "status": "Ready", "result": {"sample": image}})

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def signed_polls(refusal: int) -> Iterator[SignedPolls]:
    """The service, for as long as the block lasts."""
    with SignedPolls(refusal) as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()


@pytest.mark.parametrize("refusal", [403, 404, 422])
def test_tasks_whose_urls_have_a_query_are_collected_by_the_next_run(
    command: CommandLine, refusal: int
) -> None:
    """G7, G14. Black Forest Labs' form; the run is killed while the tasks are made."""
    (command.cwd / "prompts.csv").write_text("id,prompt\n" + "".join(f"r{i},p{i}\n" for i in range(ROWS)))
    with signed_polls(refusal) as service:
        arguments = ("run", "prompts.csv", "--base-url", service.base_url, "--out", "out", "--json", "-q")
        every = ("--set", "endpoint.poll_every=0.05")
        killed = command.start(*arguments, *every, environ=WITH_CANARY)
        until(lambda: service.polls >= 2 * ROWS)
        killed.kill()
        killed.communicate(timeout=20)
        service.ready = True
        again = command(*arguments, *every, environ=WITH_CANARY)
        assert (again.code, again.json["by_status"]) == (0, {"succeeded": ROWS})
        assert service.submitted == ROWS
    assert command("verify", "out").code == 0
    assert not any(
        b"SIGNED" in path.read_bytes() for path in (command.cwd / "out").rglob("*") if path.is_file()
    )


def test_one_refused_poll_url_neither_stops_the_run_nor_blocks_the_folder(command: CommandLine) -> None:
    manifest = command.cwd / "prompts.csv"
    manifest.write_text("id,prompt\na,one\n")
    with signed_polls(403) as service:
        service.ready, service.revoked = True, {"task-1"}

        def run() -> tuple[int, object]:
            arguments = ("run", "prompts.csv", "--base-url", service.base_url, "--out", "out", "--json", "-q")
            ended = command(*arguments, "--set", "endpoint.poll_every=0.01", environ=WITH_CANARY)
            return ended.code, ended.json["by_status"]

        assert run() == (3, {"parked": 1})
        manifest.write_text("id,prompt\na,one\nb,two\n")
        assert run() == (3, {"parked": 1, "succeeded": 1})
        service.revoked = set()
        assert run() == (0, {"succeeded": 2})
        assert service.submitted == 2
