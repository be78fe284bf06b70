"""How fetching a published image goes wrong: the acts of GET, named by `get=` in the prompt's marker."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.attacks.faults import pictures
from tests.attacks.faults.acts.links import ABROAD, abroad
from tests.attacks.faults.exchange import House, Link, head, whole
from tests.attacks.faults.wire import Request, Wire

EXPIRED = (
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'
)


@dataclass(frozen=True, slots=True)
class Fetch:
    """One GET of one link."""

    house: House
    wire: Wire
    request: Request
    link: Link

    def good(self) -> bytes:
        """The correct answer."""
        return whole(200, self.link.data, {"Content-Type": self.link.media_type})

    def send(self, data: bytes) -> None:
        """Bytes, then the end of the connection."""
        self.wire.send(data)
        self.wire.finish()


def _status(code: int, body: bytes, headers: dict[str, str] | None = None) -> Callable[[Fetch], None]:
    return lambda fetch: fetch.send(whole(code, body, {"Content-Type": "application/xml"} | (headers or {})))


def _redirect(target: Callable[[Fetch], str]) -> Callable[[Fetch], None]:
    return lambda fetch: fetch.send(whole(302, b"", {"Location": target(fetch)}))


def _content(build: Callable[[Fetch], bytes], media_type: str = "image/png") -> Callable[[Fetch], None]:
    return lambda fetch: fetch.send(whole(200, build(fetch), {"Content-Type": media_type}))


def _cut(fetch: Fetch) -> None:
    fetch.send(fetch.good()[:-1000])


def _reset(fetch: Fetch) -> None:
    fetch.wire.reset()


def _stall(fetch: Fetch, *, share: float) -> None:
    fetch.wire.send(fetch.good()[: int(len(fetch.good()) * share)])
    fetch.wire.stall()


def _drip(fetch: Fetch, *, every_s: float, count: int) -> None:
    data = fetch.good()
    fetch.wire.drip(data, size=-(-len(data) // count), every_s=every_s)
    fetch.wire.finish()


def _endless(fetch: Fetch) -> None:
    fetch.wire.send(head(200, {"Content-Type": "image/png", "Content-Length": str(2**31)}) + fetch.link.data)
    while fetch.wire.sent < 2**31:
        fetch.wire.send(bytes(2**16))
    fetch.wire.close()


def _gzip_bomb(fetch: Fetch) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    fetch.wire.send(head(200, {"Content-Type": "image/png", "Content-Encoding": "gzip"}) + block)
    rest = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(10_000):
        fetch.wire.send(rest)
    fetch.wire.finish()


def _with_key(fetch: Fetch) -> None:
    expected = f"Bearer {fetch.house.key}"
    ok = fetch.house.key is None or fetch.request.headers.get("authorization") == expected
    fetch.send(fetch.good() if ok else whole(401, b'{"error": {"message": "key needed", "code": null}}'))


def _to_image_folder(fetch: Fetch) -> str:
    return fetch.request.target.replace("/v1/files/", "/img/") + "&hop=1"


def _out_of_base(fetch: Fetch) -> None:
    """From below the base URL to a place outside it, where the key must not go along."""
    if "hop=1" in fetch.request.target:
        fetch.send(fetch.good())
    else:
        fetch.send(whole(307, b"", {"Location": _to_image_folder(fetch)}))


GETS: dict[str, Callable[[Fetch], None]] = {
    "forbidden": _status(403, EXPIRED),
    "unauthorized": _status(401, EXPIRED),
    "not_found": _status(404, EXPIRED),
    "gone": _status(410, EXPIRED),
    "server_error": _status(500, b""),
    "unavailable": _status(503, b"", {"Retry-After": "1"}),
    "throttled": _status(429, b"", {"Retry-After": "1"}),
    "not_modified": _status(304, b""),
    "partial": lambda fetch: fetch.send(
        whole(206, fetch.link.data[:500], {"Content-Range": "bytes 0-499/9999"})
    ),
    "html": _content(lambda _: pictures.HTML, "text/html"),
    "html_as_png": _content(lambda _: pictures.HTML),
    "json_error": _content(lambda _: b'{"error": "expired"}', "application/json"),
    "nothing": _content(lambda _: b""),
    "octets": _content(lambda fetch: fetch.link.data, "application/octet-stream"),
    "gzip": lambda fetch: fetch.send(
        whole(200, gzip.compress(fetch.link.data), {"Content-Encoding": "gzip"})
    ),
    "gzip_bomb": _gzip_bomb,
    "endless": _endless,
    "cut": _cut,
    "reset": _reset,
    "close": lambda fetch: fetch.wire.finish(),
    "garbage": lambda fetch: fetch.send(bytes(range(256))),
    "never": partial(_stall, share=0),
    "stall": partial(_stall, share=0.5),
    "drip": partial(_drip, every_s=0.5, count=2000),
    "pieces": partial(_drip, every_s=0.02, count=20),
    "unframed": lambda fetch: fetch.send(head(200, {"Content-Type": "image/png"}) + fetch.link.data),
    "with_key": _with_key,
    "out_of_base": _out_of_base,
    "loop": _redirect(lambda fetch: fetch.request.target),
    "growing_loop": _redirect(lambda fetch: fetch.request.target + "&again=1"),
    "no_location": _status(302, b""),
    "hop": _redirect(lambda fetch: fetch.request.target + "&hop=1"),
    **{
        f"to_{name}": _redirect(lambda fetch, name=name: abroad(fetch.house.ports, name))  # type: ignore[misc]
        for name in ABROAD
    },
}
"""Every way a fetch can go, by name."""


def serve_link(house: House, wire: Wire, request: Request, link: Link, *, honest: bool) -> None:
    """Answer a GET. gets=K in the marker: only the first K fetches misbehave (absent: all). honest: always well."""
    nth = house.fetched(link)
    act = link.marker.text("get")
    fetch = Fetch(house, wire, request, link)
    wire.sent = 0
    if honest or not act or nth > link.marker.number("gets", 10**9):
        wire.send(fetch.good())
    else:
        GETS[act](fetch)
