"""`python -m tests.attacks.faults.server`: an image service over raw sockets that misbehaves as the prompt asks.

First line of stdout: `base_url=http://127.0.0.1:N/v1`. Ends when its stdin does. Besides the endpoint it opens foreign
listeners (another port, another loopback address, IPv6) which serve good pictures to whoever comes: a client that
guards its connections never does.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import socket
import sys
import threading
from pathlib import Path

from tests.attacks.faults import pictures
from tests.attacks.faults.acts import ACTS, UNREAD
from tests.attacks.faults.acts.fetches import serve_link
from tests.attacks.faults.exchange import Exchange, House, Link, whole
from tests.attacks.faults.journal import CREDENTIAL_HEADERS, ENDPOINT, Journal, prompt_hash
from tests.attacks.faults.marker import Marker, parse
from tests.attacks.faults.wire import ClientGone, Request, Wire

FOREIGN = {
    "port": ("127.0.0.1", socket.AF_INET),
    "address": ("127.0.0.2", socket.AF_INET),
    "v6": ("::1", socket.AF_INET6),
}
"""Foreign listeners by name; one that this machine cannot open is left out."""

INVALID_KEY = {
    "error": {
        "message": "Incorrect API key provided.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
}


def _hashed(value: str | None) -> str | None:
    return None if value is None else hashlib.sha256(value.encode()).hexdigest()


def open_exchange(house: House, wire: Wire, request: Request) -> Exchange:
    """Journal the request, then wrap it."""
    doc = json.loads(request.body)
    prompt = str(doc.get("prompt", ""))
    authorization = request.headers.get("authorization")
    number = house.journal.write(
        "request",
        listener=ENDPOINT,
        path=request.target,
        prompt=prompt,
        prompt_hash=prompt_hash(prompt),
        idempotency_key=request.headers.get("idempotency-key"),
        authorization=_hashed(authorization),
        key_ok=house.key is None or authorization == f"Bearer {house.key}",
        cookie="cookie" in request.headers,
    )
    return Exchange(house, wire, request, doc, number, house.nth(prompt), parse(prompt) or Marker(""))


def act_on(exchange: Exchange) -> None:
    """Answer a POST: the key first, then the marker's fault, else a picture."""
    wire, house, marker = exchange.wire, exchange.house, exchange.marker
    wire.sent = 0
    authorized = house.key is None or exchange.key == house.key
    try:
        if house.revoked or not authorized:
            exchange.answer(401, json.dumps(INVALID_KEY).encode())
        elif marker.name and exchange.nth <= marker.times and house.nth(marker.name) <= marker.first:
            ACTS[marker.name](exchange)
        else:
            exchange.succeed()
    except ClientGone:
        exchange.note("closed_by_client", sent=wire.sent)
        wire.close()


def serve_get(house: House, wire: Wire, request: Request, listener: str) -> None:
    """Answer a GET: an image under its link's own faults; anything else is an empty list."""
    token = request.target.split("?")[0].rsplit("/", 1)[-1]
    link = house.links.get(token)
    if link is None and listener != ENDPOINT:
        link = Link(pictures.picture("abroad"), "image/png", "", Marker(""))
    house.journal.write(
        "get",
        listener=listener,
        path=request.target,
        prompt_hash=link.prompt_hash if link else "",
        data_sha256=hashlib.sha256(link.data).hexdigest() if link else None,
        credentials=[name for name in CREDENTIAL_HEADERS if name in request.headers],
    )
    with contextlib.suppress(ClientGone):
        if link is None:
            wire.send(whole(200, b'{"object": "list", "data": []}'))
        else:
            serve_link(house, wire, request, link, honest=listener != ENDPOINT)


def serve_one(house: House, wire: Wire, listener: str) -> bool:
    """One request of a connection; False when there is none to come."""
    peeked = wire.peek_request()
    if peeked is None:
        return False
    request, length = peeked
    if request.method != "POST" or listener != ENDPOINT:
        wire.consume(length)
        serve_get(house, wire, request, listener)
        return not wire.closed
    exchange = open_exchange(house, wire, request)
    if exchange.marker.name not in UNREAD:
        wire.consume(length)
    act_on(exchange)
    return not wire.closed


def serve_connection(house: House, sock: socket.socket, listener: str) -> None:
    """Requests of one connection until either side ends it."""
    wire = Wire(sock, house.stopping)
    fault = house.next_accept_fault() if listener == ENDPOINT else None
    if fault or listener != ENDPOINT:
        house.journal.write("connected", listener=listener, fault=fault)
    if fault:
        {"reset": wire.reset, "close": wire.close}[fault]()
        return
    with contextlib.suppress(ClientGone, OSError):
        while serve_one(house, wire, listener):
            pass
    wire.close()


def accept(house: House, server: socket.socket, listener: str) -> None:
    """Accept connections for ever, each served in a thread of its own."""
    while True:
        sock, _ = server.accept()
        threading.Thread(target=serve_connection, args=(house, sock, listener), daemon=True).start()


def start(house: House, port: int = 0) -> str:
    """Open every listener and serve in threads; the base URL."""
    for name, (host, family) in {ENDPOINT: ("127.0.0.1", socket.AF_INET), **FOREIGN}.items():
        server = socket.socket(family)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, port if name == ENDPOINT else 0))
        except OSError:
            if name == ENDPOINT:
                raise
            continue
        server.listen(1024)
        house.ports[name] = server.getsockname()[1]
        threading.Thread(target=accept, args=(house, server, name), daemon=True).start()
    return f"http://127.0.0.1:{house.ports[ENDPOINT]}/v1"


def main() -> None:
    """Serve until stdin ends."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--journal", type=Path, required=True)
    options.add_argument("--key", help="the only key that is let in; absent: any")
    options.add_argument("--accept", default="", help="faults of the first connections: reset,close,...")
    chosen = options.parse_args()
    house = House(
        Journal(chosen.journal), chosen.key, accept_faults=[each for each in chosen.accept.split(",") if each]
    )
    print(f"base_url={start(house, chosen.port)}", flush=True)  # noqa: T201
    sys.stdin.buffer.read()
    house.stopping.set()


if __name__ == "__main__":
    main()
