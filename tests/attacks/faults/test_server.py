"""The fault server itself, over raw sockets: what it puts on the wire, and that its journal comes first."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.attacks.faults import journal, marker
from tests.attacks.faults.catalogue import ALONE, FAULTS, MIXED
from tests.attacks.faults.exchange import SIGNATURE, House
from tests.attacks.faults.expectation import Fault
from tests.attacks.faults.journal import Event, History, Journal
from tests.attacks.faults.pictures import picture
from tests.attacks.faults.server import start

KEY = "sk-canary-of-the-server-tests"
GROUPS = sorted({fault.group for fault in FAULTS.values()})

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


class Served(NamedTuple):
    """A running server."""

    house: House
    journal: Path

    def history(self) -> History:
        return journal.read(self.journal)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("faults") / "journal.jsonl"
    house = House(Journal(path), KEY)
    start(house)
    yield Served(house, path)
    house.stopping.set()


def connect(served: Served) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", served.house.ports["endpoint"]))
    client.settimeout(0.1)
    return client


def post(client: socket.socket, prompt: str, key: str = KEY, **fields: Any) -> None:
    body = json.dumps({"prompt": prompt, **fields}).encode()
    head = f"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def receive(client: socket.socket, limit: int = 2**20, within_s: float = 10) -> tuple[bytes, str]:
    """What comes, and how it ended: closed, reset, silence or enough."""
    data, deadline = b"", time.monotonic() + within_s
    while len(data) < limit and time.monotonic() < deadline:
        try:
            piece = client.recv(65536)
        except ConnectionResetError:
            return data, "reset"
        except TimeoutError:
            return data, "silence"
        if not piece:
            return data, "closed"
        data += piece
    return data, "enough"


def ask(served: Served, prompt: str, **fields: Any) -> tuple[bytes, str]:
    with connect(served) as client:
        post(client, prompt, **fields)
        return receive(client)


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def eventually(served: Served, event: str, prompt: str) -> Event:
    """The event once the server has journalled it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := served.history().of(event, prompt):
            return found[0]
        time.sleep(0.01)
    raise AssertionError(f"no {event} for {prompt!r}")


def test_a_prompt_without_a_marker_gets_its_own_picture(served: Served) -> None:
    answer, _ = ask(served, "plain fox", response_format="b64_json", n=2)
    items = json.loads(body_of(answer))["data"]
    assert [base64.b64decode(item["b64_json"]) for item in items] == [
        picture("plain fox", 0),
        picture("plain fox", 1),
    ]
    assert served.history().charges("plain fox") == 2
    assert served.history().flushed("plain fox") == 1


def test_urls_are_the_default_and_can_be_fetched_with_a_signed_query(served: Served) -> None:
    answer, _ = ask(served, "linked fox")
    path = json.loads(body_of(answer))["data"][0]["url"].partition("/img/")[2]
    with connect(served) as client:
        client.sendall(f"GET /img/{path} HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n".encode())
        fetched, _ = receive(client)
    assert body_of(fetched) == picture("linked fox")
    assert SIGNATURE in path
    assert served.history().all("get")[-1]["credentials"] == ["cookie"]


def test_a_wrong_key_is_refused_and_not_charged(served: Served) -> None:
    with connect(served) as client:
        post(client, "thief", key="sk-canary-of-a-thief")
        answer, _ = receive(client)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert not served.history().charges("thief")
    assert served.history().of("request", "thief")[0]["key_ok"] is False
    assert KEY not in served.journal.read_text()


def test_times_counts_the_requests_of_one_prompt(served: Served) -> None:
    prompt = "twice " + marker.write("status", code=429, body="rate_limit", hint="ms", times=2)
    answers = [ask(served, prompt)[0] for _ in range(3)]
    assert [answer.split()[1] for answer in answers] == [b"429", b"429", b"200"]
    assert b"retry-after-ms: 600" in answers[0]
    assert served.history().charged_requests(prompt) == 1
    assert served.history().requests(prompt) == 3


@pytest.mark.parametrize(
    ("act", "args", "received", "end"),
    [
        ("reset_unread", {}, b"", "reset"),
        ("reset_read", {}, b"", "reset"),
        ("silent_close", {}, b"", "closed"),
        ("part_of_head", {"at": 6}, b"HTTP/1", "closed"),
        ("never", {}, b"", "silence"),
        ("frame", {"kind": "tls_alert"}, b"\x15\x03\x01\x00\x02\x02\x28", "closed"),
    ],
)
def test_connections_end_as_the_act_says(
    served: Served, act: str, args: dict[str, object], received: bytes, end: str
) -> None:
    assert ask(served, f"{act} fox {marker.write(act, **args)}") == (received, end)


@pytest.mark.parametrize(("at", "length"), [("0", 0), ("1", 1), ("1000", 1000)])
def test_a_body_is_cut_at_the_byte(served: Served, at: str, length: int) -> None:
    answer, end = ask(served, "cut fox " + marker.write("cut", at=at), response_format="b64_json")
    assert (len(body_of(answer)), end) == (length, "closed")


def test_an_early_answer_comes_while_the_request_lies_unread(served: Served) -> None:
    answer, _ = ask(served, "early " + marker.write("early", code=413) + "x" * 30_000)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_an_endless_body_ends_when_the_client_goes(served: Served) -> None:
    prompt = "endless fox " + marker.write("endless")
    with connect(served) as client:
        post(client, prompt)
        data, end = receive(client, limit=2**22)
    assert (end, b"Content-Length: 2147483648" in data) == ("enough", True)
    assert 2**22 <= eventually(served, "closed_by_client", prompt)["sent"] < 2**31


def test_the_gzip_bomb_inflates(served: Served) -> None:
    with connect(served) as client:
        post(client, "bomb " + marker.write("gzip_bomb"))
        data, _ = receive(client, limit=2**16)
    assert len(zlib.decompressobj(31).decompress(body_of(data))) > 1000 * 2**14


def test_foreign_listeners_journal_whoever_comes(served: Served) -> None:
    before = len(served.history().foreign())
    with socket.create_connection(("127.0.0.1", served.house.ports["port"])) as client:
        client.settimeout(1)
        client.sendall(b"GET /img/a.png HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n")
        assert receive(client, limit=100)[0].startswith(b"HTTP/1.1 200 OK")
    events = served.history().foreign()[before:]
    assert [event["event"] for event in events] == ["connected", "get"]
    assert served.history().credentials_abroad()[-1]["credentials"] == ["authorization"]


def journal_kept_up(served: Served, fault: Fault, data: bytes) -> None:
    """Money and refusals stand in the journal once the client has seen a byte of their answer."""
    history = served.history()
    assert history.requests(fault.prompt) == 1
    if data.startswith(b"HTTP/1.1 20"):
        assert (history.charges(fault.prompt) >= 1) != ("paid=0" in fault.marker)
    elif data.startswith((b"HTTP/1.1 3", b"HTTP/1.1 4", b"HTTP/1.1 5")):
        assert history.of("refused", fault.prompt)


@pytest.mark.parametrize("group", GROUPS)
def test_every_fault_can_be_served_and_is_journalled_first(served: Served, group: str) -> None:
    for fault in (each for each in FAULTS.values() if each.group == group and each.marker):
        fields: dict[str, Any] = {**fault.fields, "n": int(fault.fields.get("n", 1))}
        with connect(served) as client:
            post(client, fault.prompt, **fields)
            eventually(served, "request", fault.prompt)
            journal_kept_up(served, fault, receive(client, limit=1)[0])
            client.settimeout(0.01)
            receive(client, limit=2**22, within_s=0.1)
        served.house.revoked = False


def test_the_catalogue_names_every_fault_once_and_says_why() -> None:
    assert len(MIXED) + len(ALONE) == len(FAULTS) >= 90
    for fault in FAULTS.values():
        assert fault.does
        assert fault.why
        assert fault.group
        assert fault.ends or fault.by_index


def test_the_command_serves_until_its_stdin_ends(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.attacks.faults.server",
        "--journal",
        str(tmp_path / "j"),
        "--accept",
        "reset",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        base_url = process.stdout.readline().strip().removeprefix("base_url=")
        port = int(base_url.removeprefix("http://127.0.0.1:").removesuffix("/v1"))
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert receive(client) == (b"", "reset")
        process.stdin.close()
        assert process.wait(10) == 0
    assert [event["event"] for event in journal.read(tmp_path / "j").events] == ["connected"]
