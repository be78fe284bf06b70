"""Answers that hold a URL: where it points. How fetching it goes is in `fetches`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.attacks.faults import pictures
from tests.attacks.faults.acts.contents import IMAGES
from tests.attacks.faults.exchange import Exchange

ABROAD: dict[str, str] = {
    "port": "http://127.0.0.1:{port}/img/a.png",
    "address": "http://127.0.0.2:{address}/img/a.png",
    "v6": "http://[::1]:{v6}/img/a.png",
    "localhost": "http://localhost:{port}/img/a.png",
    "any": "http://0.0.0.0:{port}/img/a.png",
    "decimal": "http://2130706433:{port}/img/a.png",
    "hex": "http://0x7f000001:{port}/img/a.png",
    "octal": "http://0177.0.0.1:{port}/img/a.png",
    "short": "http://127.1:{port}/img/a.png",
    "mapped": "http://[::ffff:127.0.0.1]:{port}/img/a.png",
    "mapped_hex": "http://[::ffff:7f00:1]:{port}/img/a.png",
    "compatible": "http://[::127.0.0.1]:{port}/img/a.png",
    "sixtofour": "http://[2002:7f00:1::]:{port}/img/a.png",
    "nat64": "http://[64:ff9b::7f00:1]:{port}/img/a.png",
    "unique_local": "http://[fd00::1]/img/a.png",
    "link_local_v6": "http://[fe80::1]/img/a.png",
    "private_10": "http://10.0.0.1/img/a.png",
    "private_172": "http://172.16.0.1/img/a.png",
    "private_192": "http://192.168.1.1/img/a.png",
    "metadata": "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "metadata_v6": "http://[fd00:ec2::254]/latest/meta-data/",
    "carrier": "http://100.64.0.1/img/a.png",
    "multicast": "http://224.0.0.1/img/a.png",
    "broadcast": "http://255.255.255.255/img/a.png",
    "userinfo": "http://127.0.0.1:{endpoint}@127.0.0.1:{port}/img/a.png",
    "backslash": "http://127.0.0.1:{endpoint}\\@127.0.0.1:{port}/img/a.png",
    "closed_port": "http://127.0.0.1:9/img/a.png",
    "https_port": "https://127.0.0.1:{port}/img/a.png",
    "file": "file:///etc/passwd",
    "ftp": "ftp://127.0.0.1:{port}/a.png",
    "javascript": "javascript:alert(1)",
    "unknown_host": "http://no-such-host.invalid/a.png",
    "no_host": "http:///img/a.png",
    "bad_port": "http://127.0.0.1:99999/a.png",
    "bad_bracket": "http://[::1/a.png",
}
"""URLs that do not lead to the endpoint, with the ports of the listeners to fill in."""

Value = Callable[[Exchange, str], Any]


def _data_uri(exchange: Exchange, data: bytes, media_type: str = "image/png") -> str:
    exchange.holds(data)
    return f"data:{media_type};base64," + base64.b64encode(data).decode()


OWN: dict[str, Value] = {
    "own": lambda ex, path: ex.url(path),
    "relative": lambda ex, path: path,
    "same_scheme": lambda ex, path: ex.url(path).removeprefix("http:"),
    "upper": lambda ex, path: ex.url(path).replace("http:", "HTTP:"),
    "padded": lambda ex, path: f" {ex.url(path)} ",
    "fragment": lambda ex, path: ex.url(path) + "#top",
    "odd_query": lambda ex, path: ex.url(path) + "&name=rot fuchs ü|%2F%zz",
    "in_list": lambda ex, path: [ex.url(path)],
    "list_empty": lambda ex, path: [],
    "words": lambda ex, path: "see attachment",
    "data_uri": lambda ex, path: _data_uri(ex, ex.picture()),
    "data_uri_html": lambda ex, path: _data_uri(ex, pictures.HTML, "text/html"),
    "data_uri_cut": lambda ex, path: _data_uri(ex, ex.picture()[:300]),
}
"""`url` values that stay at home: the exchange and the path of the published image to a JSON value."""


def abroad(ports: dict[str, int], name: str) -> str:
    """A foreign URL; a listener that this machine lacks gets port 9."""
    return ABROAD[name].format_map({"address": 9, "v6": 9} | ports)


def link(exchange: Exchange) -> None:
    """url: a row of OWN or ABROAD; get: a row of `fetches.GETS`; image: a row of IMAGES; base=1: under the base URL."""
    marker = exchange.marker
    where = marker.text("url", "own")
    data = IMAGES[marker.text("image")](exchange) if marker.text("image") else exchange.picture()
    exchange.charge()
    if where in ABROAD:
        value: Any = abroad(exchange.house.ports, where)
    else:
        folder = "/v1/files" if marker.number("base") else "/img"
        value = OWN[where](exchange, exchange.link(data, folder=folder))
    exchange.answer(200, json.dumps(exchange.document([{"url": value}])).encode())


ACTS: dict[str, Callable[[Exchange], None]] = {"link": link}
