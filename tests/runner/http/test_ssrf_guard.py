"""Where image downloads may go: every spelling of a private address is seen through, names are judged by address."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from runner.http.ssrf_guard import DownloadRefused, Guard, GuardedResolver, is_public

BASE = URL("https://images.example/v1")

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.169.254",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "4000::1",
]

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "169.253.1.1",
    "2606:4700::1111",
    "2a00:1450:4001::200e",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public(address: str) -> None:
    assert is_public(address) is False


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address) is True


@given(st.ip_addresses(v=4))
def test_no_embedding_makes_an_address_more_public(address: object) -> None:
    number = int(address)  # type: ignore[call-overload]
    embedded = (
        f"::ffff:{address}",
        f"64:ff9b::{address}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
        f"2001:0:4136:e378:8000:63bf:{~number >> 16 & 0xFFFF:x}:{~number & 0xFFFF:x}",
    )
    plain = is_public(str(address))
    assert all(is_public(form) <= plain for form in embedded)


def refused(url: str, *listed: str) -> bool:
    """Whether the guard of BASE refuses the URL before any connection."""
    try:
        Guard(BASE, listed).check(URL(url))
    except DownloadRefused:
        return True
    return False


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "127.1.",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[fe80::1%25eth0]",
        "[2002:7f00:1::]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "0xa9fea9fe",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "１２７.0.0.1",
    ],
)
@pytest.mark.parametrize("port", ["", ":8080"])
def test_private_addresses_are_refused_in_every_spelling(host: str, port: str) -> None:
    assert refused(f"http://{host}{port}/image.png")


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "134744072", "[2606:4700::1111]", "cdn.example", "xn--bcher-kva.example"]
)
def test_public_addresses_and_names_pass_on_to_the_connection(host: str) -> None:
    assert not refused(f"https://{host}/image.png?sig=x")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://cdn.example/x.png",
        "gopher://cdn.example/",
        "data:image/png;base64,QUJD",
        "//cdn.example/x.png",
        "x.png",
        "",
        "https:///x.png",
        "https://user@cdn.example/x.png",
        "https://user:pw@cdn.example/x.png",
        "https://cdn.example/" + "x" * 9000,
    ],
)
def test_urls_that_are_not_fetched_at_all(url: str) -> None:
    assert refused(url)


def test_the_refusal_names_the_host_and_the_way_out_and_never_the_query() -> None:
    with pytest.raises(DownloadRefused) as refusal:
        Guard(BASE).check(URL("http://10.0.0.5:9000/x.png?signature=secret"))
    assert 'endpoint.download_hosts=["10.0.0.5:9000"]' in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("listed", "url", "passes"),
    [
        ("10.0.0.5", "http://10.0.0.5/x", True),
        ("10.0.0.5", "http://10.0.0.5:9000/x", True),
        ("10.0.0.5:9000", "http://10.0.0.5:9000/x", True),
        ("10.0.0.5:9000", "http://10.0.0.5:9001/x", False),
        ("10.0.0.5:9000", "http://10.0.0.5/x", False),
        ("10.0.0.5:443", "https://10.0.0.5/x", True),
        ("LOCALHOST", "http://127.0.0.1/x", False),
        ("10.0.0.5", "http://10.0.0.50/x", False),
        ("::1:8080", "http://[::1]:8080/x", True),
        ("10.0.0.5", "file://10.0.0.5/x", False),
        ("10.0.0.5", "http://me@10.0.0.5/x", False),
    ],
)
def test_listed_hosts(listed: str, url: str, passes: bool) -> None:
    assert refused(url, listed) is not passes


def test_the_endpoints_own_origin_needs_no_public_address() -> None:
    guard = Guard(URL("http://127.0.0.1:8000/v1"))
    guard.check(URL("http://127.0.0.1:8000/files/x.png"))
    with pytest.raises(DownloadRefused):
        guard.check(URL("http://127.0.0.1:8001/files/x.png"))


def resolved(host: str, port: int, *listed: str, base: URL = BASE) -> list[str]:
    """What the guarded resolver gives, over this machine's own resolver."""

    async def ask() -> list[str]:
        resolver = GuardedResolver(Guard(base, listed))
        try:
            return [entry["host"] for entry in await resolver.resolve(host, port, socket.AF_UNSPEC)]
        finally:
            await resolver.close()

    return asyncio.run(ask())


def test_a_name_of_this_machine_is_refused() -> None:
    with pytest.raises(DownloadRefused, match=r"localhost, which is not a public address"):
        resolved("localhost", 8080)


@pytest.mark.parametrize("listed", ["localhost", "LocalHost", "localhost:8080"])
def test_a_listed_name_of_this_machine_is_resolved(listed: str) -> None:
    assert set(resolved("localhost", 8080, listed)) <= {"127.0.0.1", "::1"}


def test_a_name_listed_with_another_port_is_refused() -> None:
    with pytest.raises(DownloadRefused):
        resolved("localhost", 8080, "localhost:8081")


def test_the_endpoints_own_name_is_resolved_on_its_own_port_only() -> None:
    base = URL("http://localhost:8080/v1")
    assert resolved("localhost", 8080, base=base)
    with pytest.raises(DownloadRefused):
        resolved("localhost", 8081, base=base)


@pytest.mark.parametrize(
    ("url", "takes"),
    [
        ("https://images.example/v1/files/1.png", True),
        ("https://images.example/v1/files/1.png?x=../y", True),
        ("https://images.example:443/v1/x", True),
        ("https://IMAGES.example/v1/x", True),
        ("https://images.example/v1", False),
        ("https://images.example/v10/x", False),
        ("https://images.example/files/1.png", False),
        ("https://images.example/v1/../files/1.png", False),
        ("https://images.example/v1/%2e%2e/files/1.png", False),
        ("https://images.example:8443/v1/x", False),
        ("http://images.example/v1/x", False),
        ("https://cdn.images.example/v1/x", False),
        ("https://images.example.evil/v1/x", False),
    ],
)
def test_the_key_goes_only_below_the_base_url(url: str, takes: bool) -> None:
    guard = Guard(BASE, ["cdn.images.example"])
    assert guard.takes_key(URL(url)) is takes
    assert guard.takes_key(URL(url, encoded=True)) is takes or "IMAGES" in url


def test_dots_that_climb_are_seen_in_a_url_that_is_sent_as_written() -> None:
    guard = Guard(BASE)
    for path in ("/v1/../x", "/v1/%2e%2e/x", "/v1/.%2E/x", "/v1/%2e./x"):
        assert not guard.takes_key(URL(f"https://images.example{path}", encoded=True))


def test_a_base_url_with_a_slash_at_its_end_is_the_same_base() -> None:
    guard = Guard(URL("https://images.example/v1/"))
    assert guard.takes_key(URL("https://images.example/v1/files/1.png"))
    assert not guard.takes_key(URL("https://images.example/v1files"))
