"""Answers that are not 2xx: the service's own errors, other people's errors, wait hints, redirects, a revoked key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import formatdate

from tests.attacks.faults.exchange import Exchange

ESCAPES = "\x1b]0;pwned\x07\x1b[2J\x1b[31m[bold red]markup[/bold red][/] [link=file:///]x[/link]"
"""A terminal title, a cleared screen, a colour, and tags of rich: none may reach a terminal as they are."""

_IMAGES_PER_MINUTE = (
    "Rate limit reached for gpt-image-2 on input-images per min: Limit 5, Used 5, Requested 1."
)

ERRORS: dict[str, tuple[str | None, str | int | None, str]] = {
    "invalid": ("invalid_request_error", "invalid_value", "Invalid value: 'size'."),
    "unknown_parameter": (
        "invalid_request_error",
        "unknown_parameter",
        "Unknown parameter: 'response_format'.",
    ),
    "int_code": ("invalid_request_error", 1042, "Argument not supported: size"),
    "model": ("invalid_request_error", "model_not_found", "The model `gpt-image-9` does not exist."),
    "moderation_blocked": (
        "image_generation_user_error",
        "moderation_blocked",
        "Your request was rejected by the safety system. safety_violations=[violence].",
    ),
    "content_policy": ("invalid_request_error", "content_policy_violation", "Blocked by our content policy."),
    "safety_words": (
        "new_api_error",
        None,
        "Your request was rejected by the safety system. If you believe this is an error, contact us. "
        "safety_violations=[sexual].",
    ),
    "flagged": (None, 403, "m requires moderation. Your input was flagged for 'violence'."),
    "nsfw": ("invalid_request_error", "nsfw", "NSFW content detected in image. Try another prompt"),
    "sensitive": ("new_api_error", "sensitive_words_detected", "user sensitive words detected"),
    "no_channel": (
        "new_api_error",
        "model_not_found",
        "No available channel for model m under group default",
    ),
    "rate_limit": ("rate_limit_error", "rate_limit_exceeded", _IMAGES_PER_MINUTE),
    "wait_ms": (
        "rate_limit_error",
        "rate_limit_exceeded",
        f"{_IMAGES_PER_MINUTE} Please try again in 700ms.",
    ),
    "wait_s": (
        "rate_limit_error",
        "rate_limit_exceeded",
        f"{_IMAGES_PER_MINUTE} Please try again after 0.9 seconds.",
    ),
    "slow_down": ("rate_limit_error", "slow_down", "Please slow down."),
    "overloaded": ("service_unavailable_error", "server_is_overloaded", "The server is overloaded."),
    "server_error": ("server_error", None, "The server had an error while processing your request."),
    "timeout": ("timeout", "Timeout", "The operation was timed out."),
    "conflict": ("conflict_error", "conflict", "A request with this key is still being processed."),
    "insufficient_quota": ("insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "credit_balance": ("insufficient_quota", "credit_balance_exhausted", "Your credit balance is exhausted."),
    "organization_spend": ("insufficient_quota", "organization_spend_limit_exceeded", "Spend limit reached."),
    "project_spend": ("insufficient_quota", "project_spend_limit_exceeded", "Spend limit reached."),
    "organization_usage": ("insufficient_quota", "organization_usage_limit_exceeded", "Usage limit reached."),
    "hard_limit": (
        "invalid_request_error",
        "billing_hard_limit_reached",
        "Billing hard limit has been reached",
    ),
    "user_quota": ("new_api_error", "insufficient_user_quota", "user quota is not enough"),
    "balance": (None, None, "Insufficient balance."),
    "verify": ("invalid_request_error", None, "Your organization must be verified to use the model."),
    "blocked": (
        None,
        "Forbidden",
        "This resource has been temporarily blocked because of our content policy.",
    ),
    "escapes": ("invalid_request_error", "invalid_value", ESCAPES),
}
"""type, code, message. Sources: the table of errors in API.md, section 2.4."""

HTML = b"<html>\r\n<head><title>Bad gateway</title></head>\r\n<body><center><h1>nginx</h1></center></body>\r\n</html>"

OTHER_BODIES: dict[str, tuple[str, Callable[[Exchange], bytes]]] = {
    "html": ("text/html; charset=UTF-8", lambda _: HTML),
    "nothing": ("text/plain", lambda _: b""),
    "text": ("text/plain", lambda _: b"upstream request failed"),
    "array": ("application/json", lambda _: b'["error"]'),
    "null": ("application/json", lambda _: b"null"),
    "plain_error": ("application/json", lambda _: b'{"error": "prompt required"}'),
    "detail": ("application/json", lambda _: b'{"detail": "size is not supported"}'),
    "detail_list": (
        "application/json",
        lambda _: b'{"detail": [{"loc": ["body", "size"], "msg": "bad size", "type": "value_error"}]}',
    ),
    "msg": ("application/json", lambda _: '{"code": 422, "msg": "参数错误"}'.encode()),
    "refused_list": (
        "application/json",
        lambda _: b'{"name": "content_moderation", "errors": ["flagged by our content moderation system"]}',
    ),
    "inspection": (
        "application/json",
        lambda _: (
            b'{"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}'
        ),
    ),
    "key_echo": ("application/json", lambda ex: error_body("invalid", f"Bad request with key {ex.key}.")),
    "key_echo_html": ("text/html", lambda ex: b"<html>Authorization: Bearer " + ex.key.encode() + b"</html>"),
    "deep": ("application/json", lambda _: b'{"error":' * 50_000),
    "large": ("application/json", lambda _: error_body("invalid", "no " * 700_000)),
}
"""Bodies that are not the service's own JSON error: media type and bytes."""

HINTS: dict[str, Callable[[], dict[str, str]]] = {
    "none": dict,
    "seconds": lambda: {"Retry-After": "1"},
    "float": lambda: {"Retry-After": "0.7"},
    "ms": lambda: {"retry-after-ms": "600", "Retry-After": "40"},
    "date": lambda: {"Retry-After": formatdate(time.time() + 2, usegmt=True)},
    "past": lambda: {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"},
    "nonsense": lambda: {"Retry-After": "soon; maybe ٣"},
    "negative": lambda: {"Retry-After": "-30"},
    "infinite": lambda: {"Retry-After": "inf"},
    "nan": lambda: {"Retry-After": "nan", "retry-after-ms": "nan"},
    "zero": lambda: {"Retry-After": "0"},
    "tiny": lambda: {"retry-after-ms": "1"},
    "two": lambda: {"Retry-After": "2"},
    "huge": lambda: {"Retry-After": "86400"},
    "digits": lambda: {"Retry-After": "9" * 400},
}
"""Wait hints by name, as headers."""


def error_body(name: str, message: str | None = None) -> bytes:
    """The service's own JSON error. message: another text than the table's."""
    kind, code, text = ERRORS[name]
    error = {"message": message or text, "type": kind, "param": None, "code": code}
    return json.dumps({"error": error}).encode()


def _body(exchange: Exchange, name: str) -> tuple[str, bytes]:
    if name in ERRORS:
        return "application/json", error_body(name)
    media_type, build = OTHER_BODIES[name]
    return media_type, build(exchange)


def status(exchange: Exchange) -> None:
    """code, body, hint; paid=1: the image was made and charged although the answer says otherwise."""
    marker = exchange.marker
    media_type, body = _body(exchange, marker.text("body"))
    if marker.number("paid"):
        exchange.charge()
    headers = {"Content-Type": media_type, **HINTS[marker.text("hint", "none")]()}
    exchange.answer(int(marker.number("code")), body, headers)


def key_in_header(exchange: Exchange) -> None:
    """A 400 that carries the key in two headers."""
    body = error_body("invalid")
    headers = {"x-debug-authorization": f"Bearer {exchange.key}", "x-request-id": exchange.key}
    exchange.answer(400, body, headers)


def redirect(exchange: Exchange) -> None:
    """code; to: `abroad` (another listener) or `home` (another path of the endpoint)."""
    house = exchange.house
    targets = {
        "abroad": f"http://127.0.0.1:{house.ports['port']}/v1/images/generations",
        "home": exchange.url("/v2/images/generations"),
    }
    location = targets[exchange.marker.text("to", "abroad")]
    exchange.answer(
        int(exchange.marker.number("code")), b"", {"Location": location, "Content-Type": "text/html"}
    )


def revoke(exchange: Exchange) -> None:
    """The key stops working with this request."""
    exchange.house.revoked = True
    exchange.answer(401, error_body("invalid", f"Incorrect API key provided: {exchange.key}."))


def early(exchange: Exchange) -> None:
    """code: 413, or 200 with the picture; sent before the request's body is read, which then never is."""
    if exchange.marker.number("code") == 200:
        exchange.charge()
        exchange.answer(200, exchange.body(), {"Connection": "close"})
    else:
        exchange.answer(413, error_body("invalid", "Request entity too large"), {"Connection": "close"})
    exchange.wire.finish()


ACTS = {
    "status": status,
    "key_in_header": key_in_header,
    "redirect": redirect,
    "revoke": revoke,
    "early": early,
}
