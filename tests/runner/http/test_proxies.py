"""What HTTP_PROXY, HTTPS_PROXY and NO_PROXY say."""

from __future__ import annotations

import pytest

from runner.http.proxies import NoProxy, Proxies
from runner.process.redaction import REDACTOR
from schemas.errors import ExitCode, JobError

PASSWORD = "hunter2-and-more"


@pytest.mark.parametrize(
    ("environ", "scheme", "proxy"),
    [
        ({"HTTPS_PROXY": "http://proxy.corp:3128"}, "https", "http://proxy.corp:3128"),
        ({"https_proxy": "http://proxy.corp:3128/"}, "https", "http://proxy.corp:3128"),
        ({"HTTPS_PROXY": "proxy.corp:3128"}, "https", "http://proxy.corp:3128"),
        ({"HTTPS_PROXY": "https://Proxy.Corp"}, "https", "https://proxy.corp:443"),
        ({"HTTP_PROXY": "http://[::1]:8080"}, "http", "http://[::1]:8080"),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "https", "http://b:2"),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": ""}, "https", None),
        ({"HTTPS_PROXY": "http://a:1"}, "http", None),
        ({"HTTP_PROXY": "http://a:1"}, "https", None),
        ({"ALL_PROXY": "http://a:1"}, "https", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "images.example"}, "https", None),
        (
            {"HTTPS_PROXY": "http://a:1", "NO_PROXY": "images.example", "no_proxy": "other"},
            "https",
            "http://a:1",
        ),
        ({}, "https", None),
    ],
)
def test_the_proxy_of_a_url(environ: dict[str, str], scheme: str, proxy: str | None) -> None:
    found = Proxies.from_environ(environ).proxy_for(scheme, "images.example", 443)
    assert (None if found is None else str(found)) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "direct"),
    [
        ("*", "images.example", 443, True),
        ("other, *", "10.0.0.1", 80, True),
        ("images.example", "images.example", 443, True),
        ("IMAGES.example", "images.EXAMPLE", 443, True),
        ("images.example", "images.example.", 443, True),
        ("images.example.", "images.example", 443, True),
        ("example", "images.example", 443, True),
        (".example", "images.example", 443, True),
        ("*.example", "images.example", 443, True),
        (".images.example", "images.example", 443, True),
        ("ages.example", "images.example", 443, False),
        ("images.example", "images.example.org", 443, False),
        ("images.example:443", "images.example", 443, True),
        ("images.example:8443", "images.example", 443, False),
        ("a b,images.example", "images.example", 443, True),
        ("10.0.0.0/8", "10.200.3.4", 443, True),
        ("10.0.0.0/8", "11.0.0.1", 443, False),
        ("10.0.0.7", "10.0.0.7", 443, True),
        ("10.0.0.7:443", "10.0.0.7", 443, True),
        ("10.0.0.7:80", "10.0.0.7", 443, False),
        ("0.0.7", "10.0.0.7", 443, False),
        ("::1", "::1", 443, True),
        ("[::1]:443", "::1", 443, True),
        ("[::1]:80", "::1", 443, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("127.0.0.1", "localhost", 80, False),
        ("localhost", "127.0.0.1", 80, False),
        ("", "images.example", 443, False),
        (" , ,", "images.example", 443, False),
        ("http://images.example/", "images.example", 443, False),
    ],
)
def test_what_no_proxy_holds(no_proxy: str, host: str, port: int, direct: bool) -> None:
    assert NoProxy.parse(no_proxy).covers(host, port) is direct


def test_a_password_is_sent_decoded_and_shown_nowhere() -> None:
    (proxy,) = Proxies.from_environ(
        {"HTTP_PROXY": f"http://us%20er:{PASSWORD}%40@proxy:3128"}
    ).by_scheme.values()
    assert proxy.authorization == "Basic dXMgZXI6aHVudGVyMi1hbmQtbW9yZUA="
    assert str(proxy) == "http://proxy:3128"
    for text in (repr(proxy), REDACTOR.text(f"{PASSWORD}@ {PASSWORD}%40 {proxy.authorization}")):
        assert PASSWORD not in text
        assert "dXMgZXI6" not in text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("socks5://proxy:1080", "HTTPS_PROXY names a socks5 proxy"),
        (f"http://u:{PASSWORD}@:1", "HTTPS_PROXY is not the URL of a proxy"),
        (f"http://u:{PASSWORD}@proxy:port", "HTTPS_PROXY is not the URL of a proxy"),
        ("http://two words", "HTTPS_PROXY is not the URL of a proxy"),
    ],
)
def test_what_is_no_proxy_is_said_so_before_anything_is_sent(value: str, told: str) -> None:
    with pytest.raises(JobError) as caught:
        Proxies.from_environ({"HTTPS_PROXY": value})
    assert caught.value.exit_code is ExitCode.USAGE
    assert told in caught.value.message
    assert PASSWORD not in f"{caught.value.message}{caught.value.fix}"
