"""Faults that refuse a request: the service's own error documents, and the pages of gateways before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from runner.simulator.faults.kinds import KINDS, Fault, Stage
from runner.simulator.requests.errors import INVALID, ServiceError, retry_headers
from runner.simulator.sliding_window import reset_time


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error of one fault kind. wait_s: seconds for `Retry-After`; None sends no hint.

    used_up: images a minute of a limit that `x-ratelimit-*` tells as reached; None for no such headers.
    """

    status: int
    type: str
    code: str | None
    message: str
    param: str | None = None
    wait_s: float | None = None
    used_up: int | None = None


_SAFETY = (
    "Your request was rejected by the safety system. If you believe this is an error, contact us at "
    "help.openai.com and include the request ID {request_id}. safety_violations=[violence]."
)
_RATE = "Rate limit reached for the model in organization org-simulated on images per min: Limit 5, Used 5, Requested 1."

REFUSALS: dict[str, Refusal] = {
    "moderation": Refusal(400, "image_generation_user_error", "moderation_blocked", _SAFETY),
    "content_policy": Refusal(
        400,
        INVALID,
        "content_policy_violation",
        "Your request was rejected as a result of our safety system. Your prompt may contain text that is not "
        "allowed by our safety system.",
    ),
    "rate_limit": Refusal(429, "requests", "rate_limit_exceeded", _RATE, wait_s=1, used_up=5),
    "rate_limit_text": Refusal(429, "requests", "rate_limit_exceeded", _RATE + " Please try again in 500ms."),
    "rate_limit_no_hint": Refusal(429, "requests", "rate_limit_exceeded", _RATE),
    "slow_down": Refusal(
        429, "rate_limit_error", "slow_down", "Your traffic grew too fast. Slow down and ramp up gradually."
    ),
    "overloaded": Refusal(
        503, "service_unavailable_error", "server_is_overloaded", "Our servers are currently overloaded."
    ),
    "quota": Refusal(
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "billing_limit": Refusal(
        400, INVALID, "billing_hard_limit_reached", "Billing hard limit has been reached"
    ),
    "payment_required": Refusal(402, "new_api_error", "insufficient_user_quota", "Insufficient balance"),
    "auth": Refusal(401, INVALID, "invalid_api_key", "Incorrect API key provided: it has been revoked."),
    "forbidden": Refusal(
        403,
        INVALID,
        None,
        "Your organization must be verified to use the model. Please go to the settings page.",
    ),
    "bad_request": Refusal(400, INVALID, "invalid_value", "Invalid value in the request.", param="size"),
    "unknown_parameter": Refusal(
        400, INVALID, "unknown_parameter", "Unknown parameter: 'response_format'.", param="response_format"
    ),
    "not_found": Refusal(
        404, INVALID, "model_not_found", "The model does not exist or you do not have access to it."
    ),
    "too_large": Refusal(413, INVALID, "request_too_large", "The request is too large."),
    "unprocessable": Refusal(422, INVALID, None, "Input should be a valid string"),
    "server_error": Refusal(
        500,
        "server_error",
        "server_error",
        "The server had an error while processing your request. Sorry about that! Request ID {request_id}.",
    ),
}


def refusal_error(fault: Fault, request_id: str) -> ServiceError:
    """The error of a fault whose kind is in `REFUSALS`, with the fault's own parameters."""
    refusal = REFUSALS[fault.kind]
    headers = _wait_headers(
        refusal.wait_s if fault.retry_after is None else fault.retry_after, refusal.used_up
    )
    message = (refusal.message if fault.message is None else fault.message).replace(
        "{request_id}", request_id
    )
    return ServiceError(
        refusal.status if fault.status is None else fault.status,
        message,
        type=refusal.type,
        code=refusal.code if fault.code is None else fault.code,
        param=refusal.param,
        headers=headers,
        own=_details(message) if fault.kind == "unprocessable" else None,
    )


def _wait_headers(wait: float | str | None, used_up: int | None) -> dict[str, str]:
    """What tells when to come back. wait: seconds, or `Retry-After` as it is. used_up: see `Refusal`."""
    if wait is None or isinstance(wait, str):
        return {} if wait is None else {"Retry-After": wait}
    headers = retry_headers(wait)
    if used_up is not None:
        headers |= {
            "x-ratelimit-limit-images": str(used_up),
            "x-ratelimit-remaining-images": "0",
            "x-ratelimit-reset-images": reset_time(wait),
        }
    return headers


def _details(message: str) -> dict[str, Any]:
    return {"detail": [{"loc": ["body", "prompt"], "msg": message, "type": "string_type"}]}


@dataclass(frozen=True, slots=True)
class Page:
    """An answer that is not the service's own. location: of a redirect, "" for none."""

    status: int
    body: str
    content_type: str = "text/html"
    location: str = ""


def _html(title: str) -> str:
    body = f"<center><h1>{title}</h1></center>"
    return f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n{body}\r\n</body>\r\n</html>\r\n"


PAGES: dict[str, Page] = {
    "timeout_408": Page(408, '{"statusCode": 408, "message": "Request timed out."}', "application/json"),
    "html_500": Page(500, _html("500 Internal Server Error")),
    "html_502": Page(502, _html("502 Bad Gateway")),
    "html_503": Page(503, _html("503 Service Temporarily Unavailable")),
    "html_504": Page(504, _html("504 Gateway Time-out")),
    "html_524": Page(524, _html("524: A timeout occurred")),
    "redirect": Page(307, "", location="http://127.0.0.1:9/v1/images/generations"),
}


def page_of(fault: Fault) -> Page:
    """The page of a fault whose kind is in `PAGES`, with the fault's own parameters."""
    page = PAGES[fault.kind]
    return replace(
        page,
        status=page.status if fault.status is None else fault.status,
        location=page.location if fault.location is None else fault.location,
    )


def turn_away(fault: Fault, request_id: str) -> web.Response:
    """The page of a fault whose stage is PAGE; ServiceError for one whose stage is REFUSAL."""
    if KINDS[fault.kind].stage is Stage.REFUSAL:
        raise refusal_error(fault, request_id)
    page = page_of(fault)
    headers = {"Location": page.location} if page.location else None
    return web.Response(text=page.body, status=page.status, content_type=page.content_type, headers=headers)
