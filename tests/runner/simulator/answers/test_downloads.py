"""Images behind URLs: good ones, and those that misbehave."""

from __future__ import annotations

import base64
from io import BytesIO

import pytest
from PIL import Image

from tests.support.simulator import Simulator
from tests.support.simulator_replies import fetch, meet


def test_urls_that_misbehave(faulty: Simulator) -> None:
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


def test_urls_cut_foreign_and_relative(faulty: Simulator) -> None:
    url = meet(faulty, "url_truncate").json()["data"][0]["url"]
    with pytest.raises(Exception, match="IncompleteRead"):
        faulty.ask("GET", url)
    assert meet(faulty, "url_foreign").json()["data"][0]["url"] == "http://10.0.0.1/image.png"
    relative = meet(faulty, "url_relative").json()["data"][0]["url"]
    assert relative.startswith("/files/")
    assert faulty.ask("GET", relative).status == 200


def test_urls_hold_what_base64_holds_and_stay(dieyuyun: Simulator) -> None:
    inline = dieyuyun.order(n=2).json()["data"]
    links = dieyuyun.order(n=2, response_format="url").json()["data"]
    for item, link in zip(inline, links, strict=True):
        assert base64.b64decode(item["b64_json"], validate=True) == fetch(dieyuyun, link["url"]).body
        assert item["revised_prompt"] == link["revised_prompt"]
        assert fetch(dieyuyun, link["url"]).status == 200


def test_urls_need_their_signature(dieyuyun: Simulator) -> None:
    url = dieyuyun.order(response_format="url").json()["data"][0]["url"]
    assert fetch(dieyuyun, url.partition("?")[0]).status == 403
    assert dieyuyun.ask("GET", "/files/unknown.png?sig=x").status == 404
