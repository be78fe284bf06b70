"""Refusals in the shape of OpenAI's API: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import math
from typing import Any

INVALID = "invalid_request_error"


class ServiceError(Exception):
    """A request that is refused. Every text is as a caller sees it; headers are added to the answer.

    own: the document of the answer whatever the dialect; None leaves it to that.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        own: Any = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.headers = headers or {}
        self.own = own


def error_document(message: str, type: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    """All four keys are always there; `param` and `code` may be null."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def retry_headers(seconds: float) -> dict[str, str]:
    """`Retry-After` in whole seconds, rounded up, and `retry-after-ms`."""
    return {"Retry-After": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(seconds * 1000))}


def rate_limit_error(
    what: str, limit: float, used: float, requested: int, wait_s: float | None
) -> ServiceError:
    """429 as OpenAI words it. what: `requests` or `images`. wait_s: seconds until it would fit; None gives no hint."""
    message = (
        f"Rate limit reached for the model in organization org-simulated on {what} per min: "
        f"Limit {limit:g}, Used {used:g}, Requested {requested}."
    )
    headers = {}
    if wait_s is not None:
        safe_s = math.ceil(wait_s * 1000 + 1) / 1000
        message += f" Please try again in {safe_s:.3f}s."
        headers = retry_headers(safe_s)
    return ServiceError(429, message, type=what, code="rate_limit_exceeded", headers=headers)
