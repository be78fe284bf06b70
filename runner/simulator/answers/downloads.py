"""Image URLs: small parameters are kept for each, the image is drawn when it is fetched."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from runner.simulator.dialects.model import Dialect
from runner.simulator.faults.kinds import KINDS, Fault, Stage
from runner.simulator.faults.wire import cut_body
from runner.simulator.pictures.picture import Picture

MOST_URLS = 200_000
"""URLs that are remembered; the oldest are forgotten first and then answer 404."""

_PRIVATE_URL = "http://10.0.0.1/image.png"
_METADATA_URL = "http://169.254.169.254/latest/meta-data/"
_CONTENT_TYPES = {"svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a URL stands for. expires_at: seconds on the loop's clock. fault: the answer's, None for none."""

    picture: Picture
    fault: Fault | None
    signature: str
    expires_at: float


class UrlBook:
    """The URLs that are alive, as one dialect has them."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def add(self, picture: Picture, fault: Fault | None, now: float) -> str:
        """A new path for `picture`: `/files/<random>.png?sig=…`; without a signature where the dialect has none."""
        name = f"{secrets.token_urlsafe(18)}.{picture.format}"
        signature = secrets.token_urlsafe(24) if self._dialect.signed else ""
        self._entries[name] = Entry(picture, fault, signature, now + self._dialect.url_life_s)
        if len(self._entries) > MOST_URLS:
            self._entries.popitem(last=False)
        if self._dialect.relative:
            return f"{self._dialect.files}{name}?exp={int(time.time() + self._dialect.url_life_s)}&sig={signature}"
        return f"{self._dialect.files}{name}" + (f"?sig={signature}" if signature else "")

    def find(self, name: str, signature: str, now: float) -> Entry | web.Response:
        """The entry, or the answer for a URL that is unknown, wrongly signed or expired."""
        entry = self._entries.get(name)
        if entry is None:
            return _storage_error(404, "BlobNotFound", "The specified blob does not exist.")
        if signature != entry.signature or now >= entry.expires_at:
            return _storage_error(
                403, "AuthenticationFailed", "Signature not valid in the specified time frame."
            )
        return entry


def answer_url(origin: str, path: str, fault: Fault | None) -> str:
    """The URL to put into the answer. origin: scheme and host of this server as the caller knows it; "" for relative."""
    if fault and fault.kind == "url_relative":
        return path
    if fault and fault.kind == "url_foreign":
        return _PRIVATE_URL if fault.location is None else fault.location
    return origin + path


def _storage_error(status: int, code: str, text: str) -> web.Response:
    xml = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{text}</Message></Error>'
    return web.Response(status=status, text=xml, content_type="application/xml")


def image_response(body: bytes, picture: Picture) -> web.Response:
    """A good download."""
    kind = _CONTENT_TYPES.get(picture.format, f"image/{picture.format}")
    return web.Response(body=body, content_type=kind)


Drawn = Callable[[], Awaitable[bytes]]
_Action = Callable[[web.Request, Fault, Drawn, Picture], Awaitable[web.StreamResponse]]


async def _not_found(
    request: web.Request, fault: Fault, drawn: Drawn, picture: Picture
) -> web.StreamResponse:
    return _storage_error(fault.status or 404, "BlobNotFound", "The specified blob does not exist.")


async def _expired(request: web.Request, fault: Fault, drawn: Drawn, picture: Picture) -> web.StreamResponse:
    text = "Signature not valid in the specified time frame."
    return _storage_error(fault.status or 403, "AuthenticationFailed", text)


async def _page(request: web.Request, fault: Fault, drawn: Drawn, picture: Picture) -> web.StreamResponse:
    return web.Response(
        text="<!DOCTYPE html><html><body>Please log in</body></html>", content_type="text/html"
    )


async def _slow(request: web.Request, fault: Fault, drawn: Drawn, picture: Picture) -> web.StreamResponse:
    await asyncio.sleep(fault.delay_s)
    return await _good(request, fault, drawn, picture)


async def _good(request: web.Request, fault: Fault, drawn: Drawn, picture: Picture) -> web.StreamResponse:
    return image_response(await drawn(), picture)


async def _truncate(request: web.Request, fault: Fault, drawn: Drawn, picture: Picture) -> web.StreamResponse:
    body = await drawn()
    return cut_body(request, body, len(body) // 2, content_type=f"image/{picture.format}")


async def _redirect(request: web.Request, fault: Fault, drawn: Drawn, picture: Picture) -> web.StreamResponse:
    location = _METADATA_URL if fault.location is None else fault.location
    return web.Response(status=fault.status or 302, headers={"Location": location})


async def _loop(request: web.Request, fault: Fault, drawn: Drawn, picture: Picture) -> web.StreamResponse:
    return web.Response(status=fault.status or 302, headers={"Location": request.path_qs})


ACTIONS: dict[str, _Action] = {
    "url_404": _not_found,
    "url_403": _expired,
    "url_html": _page,
    "url_slow": _slow,
    "url_truncate": _truncate,
    "url_redirect": _redirect,
    "url_loop": _loop,
    "url_foreign": _good,
    "url_relative": _good,
}


async def download(request: web.Request, entry: Entry, drawn: Drawn) -> web.StreamResponse:
    """Answer a GET for an image. drawn: makes the bytes, faults of the image included."""
    if entry.fault is not None and KINDS[entry.fault.kind].stage is Stage.URL:
        return await ACTIONS[entry.fault.kind](request, entry.fault, drawn, entry.picture)
    return image_response(await drawn(), entry.picture)
