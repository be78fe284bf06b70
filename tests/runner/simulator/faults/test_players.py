"""Every kind of fault, as it looks on the wire."""

from __future__ import annotations

import base64
import json
import socket
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from runner.simulator.answers import downloads
from runner.simulator.faults import content, refusals, wire
from runner.simulator.faults.kinds import KINDS, PARAMETERS, Stage
from runner.simulator.tasks import life
from tests.canary import CANARY

PLAYERS = {
    Stage.REFUSAL: refusals.REFUSALS,
    Stage.PAGE: refusals.PAGES,
    Stage.WIRE: wire.ACTIONS,
    Stage.DOCUMENT: content.DOCUMENTS,
    Stage.IMAGE: content.IMAGES,
    Stage.URL: downloads.ACTIONS,
    Stage.TASK: life.PLOTS,
}


def meet(faulty: Any, kind: str, **fields: Any) -> Any:
    return faulty.order(prompt=f"kind {kind};", **fields)


def image_of(reply: Any) -> bytes:
    return base64.b64decode(reply.json()["data"][0]["b64_json"], validate=True)


def test_every_kind_has_exactly_one_player() -> None:
    for stage, table in PLAYERS.items():
        assert set(table) == {kind.name for kind in KINDS.values() if kind.stage is stage}
    assert set(PARAMETERS) == set(Stage)


REFUSALS = {
    "moderation": (400, "image_generation_user_error", "moderation_blocked"),
    "content_policy": (400, "invalid_request_error", "content_policy_violation"),
    "rate_limit": (429, "requests", "rate_limit_exceeded"),
    "rate_limit_text": (429, "requests", "rate_limit_exceeded"),
    "rate_limit_no_hint": (429, "requests", "rate_limit_exceeded"),
    "slow_down": (429, "rate_limit_error", "slow_down"),
    "overloaded": (503, "service_unavailable_error", "server_is_overloaded"),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "billing_limit": (400, "invalid_request_error", "billing_hard_limit_reached"),
    "payment_required": (402, "new_api_error", "insufficient_user_quota"),
    "auth": (401, "invalid_request_error", "invalid_api_key"),
    "forbidden": (403, "invalid_request_error", None),
    "bad_request": (400, "invalid_request_error", "invalid_value"),
    "unknown_parameter": (400, "invalid_request_error", "unknown_parameter"),
    "not_found": (404, "invalid_request_error", "model_not_found"),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "server_error": (500, "server_error", "server_error"),
}


@pytest.mark.parametrize("kind", [name for name in refusals.REFUSALS if name != "unprocessable"])
def test_refusals(faulty: Any, kind: str) -> None:
    reply = meet(faulty, kind)
    assert (reply.status, reply.error["type"], reply.error["code"]) == REFUSALS[kind]
    assert "x-request-id" in reply.headers


def test_refusals_of_another_style(faulty: Any) -> None:
    reply = meet(faulty, "unprocessable")
    assert (reply.status, set(reply.json())) == (422, {"detail"})


def test_a_moderation_error_reads_like_the_real_one(faulty: Any) -> None:
    reply = meet(faulty, "moderation")
    assert (
        f"include the request ID {reply.headers['x-request-id']}. safety_violations=["
        in reply.error["message"]
    )


def test_hints_of_rate_limits(faulty: Any) -> None:
    hinted, text, bare = (
        meet(faulty, kind) for kind in ("rate_limit", "rate_limit_text", "rate_limit_no_hint")
    )
    assert (hinted.headers["retry-after"], hinted.headers["retry-after-ms"]) == ("1", "1000")
    assert "Please try again in 500ms" in text.error["message"]
    assert "try again" not in bare.error["message"]
    assert not {"retry-after", "retry-after-ms"} & (set(text.headers) | set(bare.headers))


@pytest.mark.parametrize(("kind", "status"), [(f"html_{code}", code) for code in (500, 502, 503, 504, 524)])
def test_pages_of_gateways(faulty: Any, kind: str, status: int) -> None:
    reply = meet(faulty, kind)
    assert (reply.status, reply.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert reply.body.startswith(b"<html>")


def test_other_pages(faulty: Any) -> None:
    timed_out, redirected = meet(faulty, "timeout_408"), meet(faulty, "redirect")
    assert (timed_out.status, timed_out.json()["statusCode"]) == (408, 408)
    assert (redirected.status, redirected.headers["location"][:5]) == (307, "http:")


def test_disconnect_sends_nothing(faulty: Any) -> None:
    assert faulty.raw(prompt="kind disconnect;") == b""


def test_reset_resets(faulty: Any) -> None:
    with pytest.raises(ConnectionResetError):
        faulty.raw(prompt="kind reset;")


STAYS_OPEN = {"gzip_bomb", "huge_body", "drip"}


@pytest.mark.parametrize("kind", ["truncate", "chunk_cut", "short_length", "gzip_bomb", "huge_body", "drip"])
def test_framing(faulty: Any, kind: str) -> None:
    with faulty.open(prompt=f"kind {kind};") as plug, plug.makefile("rb") as answer:
        lines = iter(lambda: answer.readline().strip().decode().lower(), "")
        head = dict(line.split(": ", 1) for line in lines if ": " in line)
        body = answer.read(int(head["content-length"])) if kind in STAYS_OPEN else answer.read()
    checks: dict[str, Callable[[], bool]] = {
        "truncate": lambda: len(body) == int(head["content-length"]) // 2,
        "chunk_cut": lambda: "content-length" not in head and len(body) < int(body.partition(b"\r\n")[0], 16),
        "short_length": lambda: (
            len(json.loads(body)["data"]) == 1 and len(body) > int(head["content-length"]) + 1
        ),
        "gzip_bomb": lambda: (
            head["content-encoding"] == "gzip" and len(body) < 2**20 and _unpacked(body) > 100 * 2**20
        ),
        "huge_body": lambda: len(body) == 700_000 and body.endswith(b"AAAA"),
        "drip": lambda: len(json.loads(body)["data"]) == 1,
    }
    assert checks[kind]()


def _unpacked(body: bytes) -> int:
    return len(zlib.decompress(body, wbits=31))


def test_hang_and_stall_stay_silent_until_the_caller_goes(faulty: Any) -> None:
    with faulty.open(prompt="kind hang;") as hanging, faulty.open(prompt="kind stall;") as stalling:
        hanging.settimeout(0.04)
        with pytest.raises(TimeoutError):
            hanging.recv(1)
        faulty.wait_for("in_flight", 2)
        stalling.settimeout(0.04)
        head, _, body = _read_what_comes(stalling).partition(b"\r\n\r\n")
        assert len(body) == int(head.rpartition(b"Content-Length: ")[2]) // 2
    faulty.wait_for("in_flight", 0)
    assert faulty.stats()["statuses"]["cut"] >= 2


def _read_what_comes(plug: socket.socket) -> bytes:
    received = b""
    try:
        while block := plug.recv(65_536):
            received += block
    except TimeoutError:
        return received
    raise AssertionError("the server closed")


@pytest.mark.parametrize("kind", ["moderation_200", "error_200"])
def test_errors_under_200(faulty: Any, kind: str) -> None:
    reply = meet(faulty, kind)
    assert reply.status == 200
    assert reply.error["code"] in {"moderation_blocked", "rate_limit_exceeded"}


def test_documents_without_a_usable_image(faulty: Any) -> None:
    with pytest.raises(json.JSONDecodeError):
        meet(faulty, "bad_json").json()
    assert isinstance(meet(faulty, "not_object").json(), list)
    assert meet(faulty, "empty_data").json()["data"] == []
    assert "data" not in meet(faulty, "no_data").json()
    assert meet(faulty, "null_fields").json()["data"] == [
        {"url": None, "b64_json": None, "revised_prompt": None}
    ]
    assert f"Bearer {CANARY}".encode() in meet(faulty, "echo_key").body


def test_more_and_fewer_images(faulty: Any) -> None:
    assert [len(meet(faulty, "fewer_images", n=n).json()["data"]) for n in (1, 3)] == [0, 2]
    extra = meet(faulty, "extra_images", n=3).json()["data"]
    assert len({item["b64_json"] for item in extra}) == 4


def test_base64_in_other_dress(faulty: Any) -> None:
    for kind, undress in (
        ("data_uri", lambda text: text.partition(",")[2]),
        ("wrapped_base64", lambda text: text.replace("\n", "")),
    ):
        text = meet(faulty, kind, response_format="url").json()["data"][0]["b64_json"]
        assert Image.open(BytesIO(base64.b64decode(undress(text), validate=True))).size == (64, 64)
    assert image_of(meet(faulty, "html_base64")).startswith(b"<!DOCTYPE html>")
    with pytest.raises(ValueError, match="Only base64 data is allowed"):
        image_of(meet(faulty, "bad_base64"))


def test_missing_fields_with_good_images(faulty: Any) -> None:
    documents = {kind: meet(faulty, f"no_{kind}") for kind in ("created", "usage", "revised_prompt")}
    assert "created" not in documents["created"].json()
    assert "usage" not in documents["usage"].json()
    assert "revised_prompt" not in documents["revised_prompt"].json()["data"][0]
    for reply in (*documents.values(), meet(faulty, "slow")):
        assert Image.open(BytesIO(image_of(reply))).size == (64, 64)


@pytest.mark.parametrize("kind", list(content.IMAGES))
def test_spoilt_images_come_inline_and_by_url(faulty: Any, kind: str) -> None:
    inline = image_of(meet(faulty, kind))
    assert SPOILT[kind](inline)
    url = meet(faulty, kind, response_format="url").json()["data"][0]["url"]
    assert faulty.ask("GET", url).body == inline


def _opens(data: bytes) -> Image.Image | None:
    try:
        image = Image.open(BytesIO(data))
        image.load()
    except OSError:
        return None
    return image


def _pixels_in_header(data: bytes) -> int:
    return int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")


SPOILT: dict[str, Callable[[bytes], bool]] = {
    "not_image": lambda data: len(data) == 1024 and _opens(data) is None,
    "truncated_image": lambda data: data.startswith(b"\x89PNG") and _opens(data) is None,
    "trailing_garbage": lambda data: _opens(data) is not None and not data.endswith(b"IEND\xaeB`\x82"),
    "wrong_format": lambda data: data.startswith(b"\xff\xd8"),
    "wrong_size": lambda data: (image := _opens(data)) is not None and image.size == (32, 32),
    "zero_bytes": lambda data: data == b"",
    "pixel_bomb": lambda data: len(data) < 300_000 and _pixels_in_header(data) == 400_000_000,
}


def test_wrong_formats(simulate: Callable[..., Any]) -> None:
    formats = ("png", "jpeg", "webp", "gif", "bmp", "tiff", "svg")
    faults = [f"[[fault]]\nkind='wrong_format'\nmatch='{name}$'\nformat='{name}'" for name in formats]
    simulator = simulate("--latency", "0", scenario="\n".join(faults))
    files = {name: image_of(simulator.order(prompt=f"as {name}")) for name in formats}
    assert files.pop("svg").startswith(b"<svg ")
    assert {name: Image.open(BytesIO(data)).format for name, data in files.items()} == {
        name: name.upper() for name in files
    }


def test_urls_that_misbehave(faulty: Any) -> None:
    fetched = {}
    for kind in ("url_404", "url_403", "url_html", "url_slow", "url_redirect", "url_loop"):
        url = meet(faulty, kind).json()["data"][0]["url"]
        fetched[kind] = faulty.ask("GET", url)
    assert {kind: reply.status for kind, reply in fetched.items()} == {
        "url_404": 404, "url_403": 403, "url_html": 200, "url_slow": 200, "url_redirect": 302, "url_loop": 302,
    }  # fmt: skip
    assert fetched["url_html"].headers["content-type"].startswith("text/html")
    assert Image.open(BytesIO(fetched["url_slow"].body)).size == (64, 64)
    assert fetched["url_redirect"].headers["location"].startswith("http://169.254.169.254/")
    assert faulty.ask("GET", fetched["url_loop"].headers["location"]).status == 302


def test_urls_cut_foreign_and_relative(faulty: Any) -> None:
    url = meet(faulty, "url_truncate").json()["data"][0]["url"]
    with pytest.raises(Exception, match="IncompleteRead"):
        faulty.ask("GET", url)
    assert meet(faulty, "url_foreign").json()["data"][0]["url"] == "http://10.0.0.1/image.png"
    relative = meet(faulty, "url_relative").json()["data"][0]["url"]
    assert relative.startswith("/files/")
    assert faulty.ask("GET", relative).status == 200
