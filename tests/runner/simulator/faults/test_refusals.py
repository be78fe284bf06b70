"""Refusals and pages, each met once over real HTTP."""

from __future__ import annotations

import pytest

from runner.simulator.faults import refusals
from tests.support.simulator import Simulator
from tests.support.simulator_replies import meet

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
def test_refusals(faulty: Simulator, kind: str) -> None:
    reply = meet(faulty, kind)
    assert (reply.status, reply.error["type"], reply.error["code"]) == REFUSALS[kind]
    assert "x-request-id" in reply.headers


def test_refusals_of_another_style(faulty: Simulator) -> None:
    reply = meet(faulty, "unprocessable")
    assert (reply.status, set(reply.json())) == (422, {"detail"})


def test_a_moderation_error_reads_like_the_real_one(faulty: Simulator) -> None:
    reply = meet(faulty, "moderation")
    assert (
        f"include the request ID {reply.headers['x-request-id']}. safety_violations=["
        in reply.error["message"]
    )


def test_a_rate_limit_tells_which_limit_is_used_up(faulty: Simulator) -> None:
    headers = meet(faulty, "rate_limit").headers
    told = {name: headers[f"x-ratelimit-{name}-images"] for name in ("limit", "remaining", "reset")}
    assert told == {"limit": "5", "remaining": "0", "reset": "1s"}
    for kind in ("rate_limit_no_hint", "rate_limit_text", "server_error"):
        assert not any(name.startswith("x-ratelimit") for name in meet(faulty, kind).headers)


def test_hints_of_rate_limits(faulty: Simulator) -> None:
    hinted, text, bare = (
        meet(faulty, kind) for kind in ("rate_limit", "rate_limit_text", "rate_limit_no_hint")
    )
    assert (hinted.headers["retry-after"], hinted.headers["retry-after-ms"]) == ("1", "1000")
    assert "Please try again in 500ms" in text.error["message"]
    assert "try again" not in bare.error["message"]
    assert not {"retry-after", "retry-after-ms"} & (set(text.headers) | set(bare.headers))


@pytest.mark.parametrize(("kind", "status"), [(f"html_{code}", code) for code in (500, 502, 503, 504, 524)])
def test_pages_of_gateways(faulty: Simulator, kind: str, status: int) -> None:
    reply = meet(faulty, kind)
    assert (reply.status, reply.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert reply.body.startswith(b"<html>")


def test_other_pages(faulty: Simulator) -> None:
    timed_out, redirected = meet(faulty, "timeout_408"), meet(faulty, "redirect")
    assert (timed_out.status, timed_out.json()["statusCode"]) == (408, 408)
    assert (redirected.status, redirected.headers["location"][:5]) == (307, "http:")
