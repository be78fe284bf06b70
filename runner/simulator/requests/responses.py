"""Responses that are made of a body or of aiohttp's own refusal."""

from __future__ import annotations

from aiohttp import web

from runner.simulator.requests.errors import ServiceError


def json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON document as it is."""
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def as_service_error(request: web.Request, error: web.HTTPException) -> ServiceError:
    """aiohttp's own refusal, for one in the service's shape."""
    messages = {
        404: f"Invalid URL ({request.method} {request.path})",
        405: f"Not allowed to {request.method} on {request.path}.",
    }
    codes = {404: "unknown_url", 405: "method_not_supported"}
    message = messages.get(error.status, error.reason)
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return ServiceError(error.status, message, code=codes.get(error.status), headers=allow)
