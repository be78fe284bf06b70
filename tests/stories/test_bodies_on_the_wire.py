"""The bodies that really leave: between the command and the simulator each is written down, and held to the documents."""

from __future__ import annotations

import csv
import itertools
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from schemas.request_rules import rules_of
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Service

FIELDS: dict[str, tuple[str, ...]] = {
    "size": ("", "auto", "1024x1024", "1536x1024", "1024x1536"),
    "quality": ("", "auto", "low", "medium", "high"),
    "n": ("", "1", "2"),
    "background": ("", "auto", "opaque", "transparent"),
    "moderation": ("", "auto", "low"),
    "output_format": ("", "png", "jpeg", "webp"),
    "output_compression": ("", "0", "80", "100"),
    "response_format": ("", "url", "b64_json"),
}
"""What both services document (response_format: dieyuyun), and the field left out."""


def pairwise(fields: Mapping[str, Sequence[str]], profile: str) -> list[dict[str, str]]:
    """Rows in which any two values of any two fields meet: greedy, each row begun by the first pair not yet met.

    Only rows begun by a pair that the service refuses are refused, so that all other pairs meet in rows that are sent.
    """
    names = list(fields)
    left = {
        ((a, x), (b, y)): None
        for a, b in itertools.combinations(names, 2)
        for x in fields[a]
        for y in fields[b]
    }
    rows = []
    while left:
        first = next(iter(left))
        row = dict(first)
        for name in names:
            if name not in row:
                others = [row | {name: value} for value in fields[name]]
                row = max(others, key=lambda other: _worth(other, profile, names, left))
        for pair in [first] if is_refused(profile, row) else _pairs(row, names):
            left.pop(pair, None)
        rows.append(row)
    return rows


def _worth(
    row: Mapping[str, str], profile: str, names: Sequence[str], left: Collection[object]
) -> tuple[bool, int]:
    """How much a row is wanted: rather one that is sent, and then one in which more new pairs meet."""
    return not is_refused(profile, row), sum(pair in left for pair in _pairs(row, names))


def _pairs(row: Mapping[str, str], names: Sequence[str]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    there = [(name, row[name]) for name in names if name in row]
    return itertools.combinations(there, 2)


@contextmanager
def overheard(service: Service) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A base URL that hands everything on to the service, and the bodies that were posted to it so far."""
    bodies: list[dict[str, Any]] = []
    origin = service.base_url.removesuffix("/v1")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(json.loads(body))
            self._hand_on(body)

        def do_GET(self) -> None:
            self._hand_on(None)

        def _hand_on(self, body: bytes | None) -> None:
            asked = urllib.request.Request(origin + self.path, body, dict(self.headers))
            try:
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    self._say(answer.status, answer.headers["Content-Type"], answer.read())
            except urllib.error.HTTPError as refusal:
                self._say(refusal.code, refusal.headers["Content-Type"], refusal.read())

        def _say(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", bodies
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("profile", "model", "dialect"),
    [
        ("dieyuyun", "gpt-image-2-official", "official"),
        ("dieyuyun", "gpt-image-2", "dieyuyun"),
        ("openai", "gpt-image-2", "official"),
    ],
)
def test_every_pair_of_values(command: CommandLine, profile: str, model: str, dialect: str) -> None:
    """The service, as strict as its documents, makes every row that is sent; rows it would refuse are not sent."""
    rows = pairwise(FIELDS, profile)
    with (command.cwd / "prompts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "prompt", *FIELDS])
        writer.writeheader()
        writer.writerows({"id": f"r{i}", "prompt": f"a fox {i}"} | row for i, row in enumerate(rows))
    refused = {f"r{i}" for i, row in enumerate(rows) if is_refused(profile, row)}
    with (
        Service(command, "--profile", profile, "--dialect", dialect, "--latency", "0") as service,
        overheard(service) as (base_url, bodies),
    ):
        options = ("--profile", profile, "--base-url", base_url, "--model", model, "--allow-http")
        ended = command("run", "prompts.csv", *options, "--out", "out", "--json", "-q", environ=WITH_CANARY)
    by_status = {row["row_id"]: row["status"] for row in command.results("out")}
    assert {row_id for row_id, status in by_status.items() if status == "invalid"} == refused, ended.err
    assert {status for row_id, status in by_status.items() if row_id not in refused} == {"succeeded"}
    assert len(bodies) == len(rows) - len(refused)
    document = rules_of(profile, model)
    assert document is not None
    assert [fault for body in bodies for fault in document.faults(body)] == []


def is_refused(profile: str, row: Mapping[str, str]) -> bool:
    """Whether the service is known to refuse such a row, as told so far: transparent JPEG, at OpenAI compressed PNG."""
    kind = row.get("output_format")
    if row.get("background") == "transparent" and kind == "jpeg":
        return True
    return profile == "openai" and kind in ("", "png") and row.get("output_compression") in ("0", "80")


@pytest.mark.parametrize("profile", ["dieyuyun", "openai"])
def test_any_two_values_meet_in_a_row_that_is_sent(profile: str) -> None:
    rows = pairwise(FIELDS, profile)
    sent = [row for row in rows if not is_refused(profile, row)]
    for a, b in itertools.combinations(FIELDS, 2):
        pairs = set(itertools.product(FIELDS[a], FIELDS[b]))
        assert {(row[a], row[b]) for row in rows} == pairs
        possible = {(x, y) for x, y in pairs if not is_refused(profile, {a: x, b: y})}
        assert {(row[a], row[b]) for row in sent} == possible
    assert len(rows) <= 40
