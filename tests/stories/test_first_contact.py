"""The first run against a service, with each mistake that people make: it ends soon, says the fix, and pays for nothing."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tests.support.commandline import CommandLine, Ended
from tests.support.imageservice import PNG
from tests.support.rawserver import closed_port

PAGE = b"<!doctype html><html><head><title>New API</title></head><body><div id=root></div></body></html>"
NGINX = b"<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1><hr>nginx/1.25.3</body></html>"
KEY = "sk-first-5d17c0a92be84f63"
"""Stands in a file, because users write it there; so it is not the canary, which may be in none."""
Reply = tuple[int, str, bytes]
IN_FOLDER = ("--out", "out", "--price", "0.04")


def holding_the_key(folder: Path) -> list[str]:
    """The names of the files below the folder that have it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path.name for path in files if KEY.encode() in path.read_bytes()]


def document(status: int, value: object) -> Reply:
    return status, "application/json", json.dumps(value).encode()


IMAGE = document(200, {"created": 1, "data": [{"b64_json": base64.b64encode(PNG).decode()}]})
MODELS = document(200, {"object": "list", "data": [{"id": "gpt-image-2"}]})


def works(method: str, path: str) -> Reply:
    """An API at /v1, and nginx's page elsewhere."""
    if (method, path) == ("GET", "/v1/models"):
        return MODELS
    return IMAGE if (method, path) == ("POST", "/v1/images/generations") else (404, "text/html", NGINX)


def web_front(method: str, path: str) -> Reply:
    """A relay whose front end answers 200 to whatever is not below /v1."""
    reply = works(method, path)
    return reply if reply[0] == 200 else (200, "text/html", PAGE)


def azure(method: str, path: str) -> Reply:
    """A deployment of Azure's."""
    wanted = "/openai/deployments/pics/images/generations?api-version=2025-04-01-preview"
    return (
        IMAGE
        if (method, path) == ("POST", wanted)
        else document(404, {"error": {"code": "404", "message": "Resource not found"}})
    )


def always(status: int, value: object) -> Callable[[str, str], Reply]:
    return lambda _method, _path: document(status, value)


@dataclass
class Place:
    """A server that answers by a function of method and path. images: how many it has given."""

    port: int
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    images: int = 0


@contextmanager
def serving(reply: Callable[[str, str], Reply], tls: ssl.SSLContext | None = None) -> Iterator[Place]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            place.asked.append(
                (self.command, self.path, {name.lower(): text for name, text in self.headers.items()})
            )
            status, kind, body = reply(self.command, self.path)
            place.images += body == IMAGE[2]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    place = Place(server.server_port)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield place
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def secured(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def first_run(command: CommandLine, base_url: str, *options: str) -> Ended:
    """Five rows, the key in .env, to the end."""
    (command.cwd / "m.csv").write_text("prompt\n" + "".join(f"picture {number}\n" for number in range(5)))
    (command.cwd / ".env").write_text(f"IMAGEMILL_API_KEY={KEY}\n")
    given = ("--base-url", base_url) if base_url else ()
    return command("run", "m.csv", *given, *IN_FOLDER, "-q", *options, timeout_s=40)


CASES: dict[str, tuple[Callable[[str, str], Reply], str, int, tuple[str, ...]]] = {
    "a web page": (web_front, "http://{host}", 4, ("leads to no API", "title: New API", "does the base URL lack /v1?")),
    "a wrong path": (works, "http://{host}", 4, ("no such path or model", "--base-url http://{host}/v1")),
    "a wrong path below the version": (works, "http://{host}/v1/openai", 4, ("no such path or model at http://{host}/v1/openai",)),
    "a wrong key": (always(401, {"error": {"message": "Invalid token", "code": "invalid_api_key"}}), "http://{host}/v1", 4,
                    ("the key from .env (IMAGEMILL_API_KEY) was refused: Invalid token",)),
    "no money": (always(403, {"error": {"message": "quota used up", "code": "insufficient_user_quota"}}), "http://{host}/v1",
                 4, ("no money or quota is left", "quota used up")),
    "no money, in an envelope": (always(200, {"code": 402, "msg": "余额不足，请充值", "data": None}), "http://{host}/v1", 4,
                                 ("no money or quota is left", "余额不足，请充值")),
    "https at an http port": (works, "https://{host}/v1", 4, ("speaks http, and no https", "--base-url http://{host}/v1")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_with_its_fix_and_nothing_is_paid(command: CommandLine, name: str) -> None:
    reply, url, code, told = CASES[name]
    with serving(reply) as place:
        host = f"127.0.0.1:{place.port}"
        ended = first_run(command, url.format(host=host), "--json")
        assert (ended.code, ended.json["exit_code"]) == (code, code), ended.out
        for text in told:
            assert text.format(host=host) in ended.json["exit_reason"]
        assert ended.json["next"] == "imagemill doctor out/job.toml"
        assert (place.images, ended.json["maybe_billed"], ended.json["by_status"]) == (0, 0, {"pending": 5})
        assert sum(method == "POST" for method, _, _ in place.asked) <= 10
    assert KEY not in ended.out + ended.err
    assert holding_the_key(command.cwd) == [".env"]


def test_a_host_that_is_not_there_ends_the_run_by_first_contact(command: CommandLine) -> None:
    for url, reason in (
        ("https://no-such-host.invalid/v1", "no-such-host.invalid"),
        (f"http://127.0.0.1:{closed_port()}/v1", "Connection refused"),
    ):
        ended = first_run(command, url, "--json", "--set", "run.first_contact=1")
        assert ended.code == 5
        assert reason in ended.json["exit_reason"] and "is the base URL right?" in ended.json["exit_reason"]
        assert (ended.json["maybe_billed"], ended.json["by_status"]) == (0, {"pending": 5})


def test_an_untrusted_certificate_ends_the_run_at_once(
    command: CommandLine, authority: trustme.CA, tmp_path: Path
) -> None:
    """Once the authority is named, the same command goes on."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving(works, secured(authority)) as place:
        url = f"https://127.0.0.1:{place.port}/v1"
        ended = first_run(command, url, "--json")
        assert (ended.code, place.asked) == (4, [])
        assert "is not trusted" in ended.json["exit_reason"]
        assert "endpoint.ca_file=FILE.pem, or SSL_CERT_FILE" in ended.json["exit_reason"]
        mended = first_run(command, url, "--json", "--set", "endpoint.ca_file=ca.pem")
        assert (mended.code, place.images) == (0, 5), mended.out


@pytest.mark.parametrize(
    "pasted", ["/v1/images/generations", "/v1/images/generations?async=true", "/v1/models", "/v1/"]
)
def test_the_url_of_a_whole_operation_is_understood(command: CommandLine, pasted: str) -> None:
    with serving(works) as place:
        ended = first_run(command, f"http://127.0.0.1:{place.port}{pasted}")
        assert (ended.code, place.images) == (0, 5), ended.out + ended.err


def test_azures_target_uri_is_known_by_its_path(command: CommandLine) -> None:
    query = "api-version=2025-04-01-preview"
    with serving(azure) as place:
        url = f"http://127.0.0.1:{place.port}/openai/deployments/pics/images/generations?{query}"
        ended = first_run(command, url)
        assert (ended.code, place.images) == (0, 5), ended.out + ended.err
        assert {headers["api-key"] for _, _, headers in place.asked} == {KEY}
        assert all("authorization" not in headers for _, _, headers in place.asked)


def test_no_manifest_and_an_empty_one(command: CommandLine) -> None:
    missing = command("run", "m.csv", "--simulate")
    assert (missing.code, missing.is_one_message()) == (2, True)
    (command.cwd / "m.csv").write_text("prompt\n")
    empty = command("run", "m.csv", "--simulate")
    assert (empty.code, empty.is_one_message()) == (2, True)
    assert "input.allow_empty=true" in empty.err
    assert command("run", "m.csv", "--simulate", "--set", "input.allow_empty=true").code == 0


# doctor, of the same places

DOCTOR: dict[str, tuple[Callable[[str, str], Reply], str, int, str]] = {
    "the API": (works, "http://{host}/v1", 0, "ok    endpoint     http://{host}/v1/models: reachable, the key is accepted"),
    "a web page": (web_front, "http://{host}/spa", 4, "/spa/models: a web page answers (title: New API), and no API"),
    "a web page before the API": (web_front, "http://{host}", 4, "http://{host}/v1 answers as an API: use --base-url http://{host}/v1"),
    "a wrong path": (works, "http://{host}", 4, "http://{host}/v1 answers as an API: use --base-url http://{host}/v1"),
    "something that is no list of models": (always(200, {"hello": 1}), "http://{host}/v1", 0,
                                            "it lists no models, so the key is not checked"),
    "an envelope about money": (always(200, {"code": 402, "msg": "余额不足", "data": None}), "http://{host}/v1", 4,
                                "余额不足"),
    "a wrong key": (always(401, {}), "http://{host}/v1", 4, "the key from .env (IMAGEMILL_API_KEY) is wrong or revoked"),
    "https at an http port": (works, "https://{host}/v1", 5, "use --base-url http://{host}/v1"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCTOR)
def test_doctor_says_the_same(command: CommandLine, name: str) -> None:
    reply, url, code, told = DOCTOR[name]
    (command.cwd / ".env").write_text(f"IMAGEMILL_API_KEY={KEY}\n")
    with serving(reply) as place:
        host = f"127.0.0.1:{place.port}"
        ended = command("doctor", "--base-url", url.format(host=host))
        assert told.format(host=host) in ended.out
        assert ended.code == code, ended.out
    assert KEY not in ended.out + ended.err
    assert holding_the_key(command.cwd) == [".env"]
