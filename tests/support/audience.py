"""Those who hear of a run: a server that takes every message, a metrics file to be read, and a run to be heard of."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

from schemas.reports import Progress, RunEnd, RunPlan
from schemas.summary import FolderFigures, State, Summary

PLAN = RunPlan("job", 5.0)
GOOD = Summary(
    imagemill="0.1.0",
    command="run",
    simulated=False,
    state=State.FINISHED,
    rows_sent=3,
    folder=FolderFigures(2, 8, 8, 0, 0.8),
    run_id="run",
    out="out",
    rows=3,
    images=3,
    by_status={"succeeded": 3},
    by_error={},
    requests_sent=3,
    images_saved=3,
    maybe_billed=0,
    cost_usd=0.3,
    duration_s=1.5,
    exit_code=0,
    exit_reason="every row succeeded",
    next="",
)
END = RunEnd(0, GOOD.exit_reason, GOOD)


NOW = Progress(
    phase="running",
    total_images=5000,
    total_known=True,
    done_images=1204,
    failed_images=3,
    parked_images=0,
    invalid_rows=0,
    in_flight=16,
    concurrency=16,
    images_per_minute=58.25,
    cost_usd=12.04,
    elapsed_s=1240.0,
    eta_s=3900.0,
    run_done_images=204,
    run_failed_images=3,
    requests_sent=207,
    manifest="m.csv",
    out="runs/m",
)
"""A look at a run of five thousand images, a thousand of which an earlier run made."""


class Terminal(StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True

    def text(self) -> str:
        """What was written, without what moves the cursor and sets colours."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.getvalue())


def look(done: int, *notes: str) -> Progress:
    """A look at a run of three images."""
    return Progress(
        "running",
        3,
        True,
        done,
        0,
        0,
        0,
        3 - done,
        3,
        60.0,
        done / 10,
        done / 2,
        None,
        notes=notes,
        folder_cost_usd=done / 10,
    )


@dataclass
class Post:
    """A server that takes everything. taken: path and body, in order of arrival."""

    port: int = 0
    taken: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def post() -> Iterator[Post]:
    office = Post()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            office.taken.append((self.path, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    office.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield office
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def closed_port() -> int:
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        return int(plug.getsockname()[1])


def figures(path: Path) -> dict[str, float]:
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(path.read_text())
    return {
        ":".join(
            [sample.name, *(value for name, value in sample.labels.items() if name != "job")]
        ): sample.value
        for family in families
        for sample in family.samples
    }
