"""Runs behind a real proxy: what goes through it, what it refuses, and that its password shows nowhere."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from yarl import URL

from jobs.classify import BreakKind
from runner.http.client import HttpClient, Timeouts
from runner.http.memory_budget import MemoryBudget, ResponseBudget
from runner.http.messages import Answer, BrokenExchange
from runner.http.network import Network
from runner.http.proxies import Proxies
from runner.http.ssrf_guard import DownloadRefused, Guard
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended
from tests.support.imageservice import PNG, ImageService
from tests.support.proxyserver import ProxyServer
from tests.support.rawserver import RawServer, answering, closed_port

PASSWORD = "proxy-password-91c7"
CREDENTIALS = f"mill:{PASSWORD}"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its certificate."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    """A proxy that anyone may use."""
    with ProxyServer(tmp_path_factory.mktemp("proxy")) as server:
        yield server


@pytest.fixture(scope="module")
def guarded_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    """A proxy that asks for a password."""
    with ProxyServer(tmp_path_factory.mktemp("guarded"), CREDENTIALS) as server:
        yield server


@pytest.fixture(params=["http", "https"])
def service(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[ImageService]:
    """The service, whose images are behind links at its own address."""
    with ImageService(secured(authority) if request.param == "https" else None) as server:
        server.link = f"{server.origin}/files/1.png"
        yield server


def secured(authority: trustme.CA) -> ssl.SSLContext:
    """TLS with a certificate of this machine that the authority has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


def run(command: CommandLine, service: ImageService, *options: str, **environ: str) -> Ended:
    """A run of two rows."""
    (command.cwd / "prompts.csv").write_text("prompt\na fox\na hare\n")
    fixed = ("--base-url", service.base_url, "--price", "0.04", "--out", "out", "--json", "-q")
    return command("run", "prompts.csv", *fixed, *options, environ={**WITH_CANARY, **environ})


def images(command: CommandLine) -> list[bytes]:
    return [path.read_bytes() for path in (command.cwd / "out" / "images").rglob("*.png")]


def of(asked: list[tuple[str, str]], service: ImageService) -> list[str]:
    """The methods of what a proxy was asked for of this service."""
    return [method for method, where in asked if where.startswith(f"127.0.0.1:{service.port}")]


def leaks(folder: Path) -> list[str]:
    """Files that hold the proxy's password, plain or in base64."""
    forms = [PASSWORD.encode(), b"bWlsbDpwcm94eS1wYXNzd29yZC05MWM3"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(form in path.read_bytes() for form in forms)]


def test_requests_and_downloads_go_through_the_proxy(
    command: CommandLine, service: ImageService, guarded_proxy: ProxyServer, ca_file: Path
) -> None:
    before = len(guarded_proxy.asked())
    variable = "HTTPS_PROXY" if service.origin.startswith("https") else "http_proxy"
    environ = {variable: f"http://{CREDENTIALS}@{guarded_proxy.address}", "SSL_CERT_FILE": str(ca_file)}
    done = run(command, service, **environ)
    assert done.code == 0, done.err
    assert images(command) == [PNG, PNG]
    assert sorted(service.seen) == [("GET", "/files/1.png")] * 2 + [("POST", "/v1/images/generations")] * 2
    asked = of(guarded_proxy.asked_at_least(before + 3)[before:], service)
    assert set(asked) == ({"CONNECT"} if variable == "HTTPS_PROXY" else {"POST", "GET"})
    assert not any("proxy-authorization" in map(str.lower, headers) for headers in service.headers)
    assert leaks(command.cwd) == []
    assert PASSWORD not in done.out + done.err


def test_what_no_proxy_names_is_asked_for_directly(
    command: CommandLine, service: ImageService, proxy: ProxyServer, ca_file: Path
) -> None:
    environ = {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url, "NO_PROXY": "10.0.0.0/8,127.0.0.0/8"}
    done = run(command, service, SSL_CERT_FILE=str(ca_file), **environ)
    assert done.code == 0, done.err
    assert images(command) == [PNG, PNG]
    assert of(proxy.asked(), service) == []


def test_a_simulated_run_needs_no_proxy(command: CommandLine) -> None:
    (command.cwd / "prompts.csv").write_text("prompt\na fox\n")
    gone = f"http://127.0.0.1:{closed_port()}"
    done = command(
        "run", "prompts.csv", "--simulate", "-q", environ={"HTTP_PROXY": gone, "HTTPS_PROXY": gone}
    )
    assert done.code == 0, done.err


def connects(done: Ended) -> tuple[int, int, set[str], str]:
    """What a run came to that could not connect: requests sent, maybe billed, kinds of error, a message."""
    told = done.json
    (message,) = {each["error_message"] for each in told["failures"]} or {""}
    return (
        told["requests_sent"],
        told["maybe_billed"],
        {each["error_kind"] for each in told["failures"]},
        message,
    )


@pytest.mark.parametrize("credentials", ["", f"mill:not-{PASSWORD}@"])
def test_a_proxy_that_wants_another_password_has_passed_nothing_on(
    command: CommandLine, service: ImageService, guarded_proxy: ProxyServer, ca_file: Path, credentials: str
) -> None:
    url = f"http://{credentials}{guarded_proxy.address}"
    environ = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "SSL_CERT_FILE": str(ca_file)}
    done = run(command, service, "--attempts", "1", **environ)
    assert service.seen == []
    rows = command.results("out")
    assert [(row["error_kind"], row["maybe_billed"]) for row in rows] == [("connect", 0)] * 2
    for row in rows:
        assert (
            f"the proxy {guarded_proxy.url} refuses to connect to 127.0.0.1:{service.port}"
            in row["error_message"]
        )
        assert "HTTP 407" in row["error_message"]
        assert "_PROXY)" in row["error_message"]
    assert PASSWORD not in done.out + done.err
    assert leaks(command.cwd) == []


def test_a_proxy_that_is_not_there_is_named_without_its_password(
    command: CommandLine, service: ImageService, ca_file: Path
) -> None:
    port = closed_port()
    url = f"http://{CREDENTIALS}@127.0.0.1:{port}"
    environ = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "SSL_CERT_FILE": str(ca_file)}
    done = run(command, service, "--attempts", "1", **environ)
    assert service.seen == []
    for row in command.results("out"):
        assert (row["error_kind"], row["maybe_billed"]) == ("connect", 0)
        assert re.search(
            rf"the proxy http://127.0.0.1:{port} of HTTPS?_PROXY cannot be reached", row["error_message"]
        )
    assert PASSWORD not in done.out + done.err
    assert leaks(command.cwd) == []


# One exchange


def exchange(
    base_url: str, proxy_url: str, url: str | None = None, **environ: str
) -> Answer | BrokenExchange:
    """What a POST, or a fetch of a URL, comes to by way of a proxy."""

    async def main() -> Answer | BrokenExchange:
        network = Network(
            Proxies.from_environ({"http_proxy": proxy_url, "https_proxy": proxy_url, **environ})
        )
        guard = Guard(URL(base_url), (), network.proxies.addresses)
        with MemoryBudget().share() as held:
            async with HttpClient(base_url, {}, guard, Timeouts(60.0), network=network) as transport:
                room = ResponseBudget(10**7, held)
                return await (transport.fetch(url, room) if url else transport.post("x", {}, {}, room))

    return asyncio.run(main())


def broke(found: Answer | BrokenExchange) -> tuple[BreakKind, int | None]:
    assert isinstance(found, BrokenExchange), found
    return found.how, found.status


@pytest.mark.parametrize("status", [403, 407, 500, 502, 503, 504])
def test_a_tunnel_that_is_refused_is_before_sending(status: int) -> None:
    async def main() -> tuple[Answer | BrokenExchange, list[str]]:
        async with RawServer(answering(b"no", status=status)) as server:
            found = await asyncio.to_thread(exchange, "https://images.example/v1", server.origin)
            return found, [f"{seen.method} {seen.target}" for seen in server.requests]

    found, asked = asyncio.run(main())
    # A password that is missing is not there the next time either.
    how = BreakKind.BARRED if status == 407 else BreakKind.BEFORE_SENDING
    assert broke(found) == (how, None)
    assert asked == ["CONNECT images.example:443"]
    assert isinstance(found, BrokenExchange)
    assert f"refuses to connect to images.example:443: HTTP {status}" in found.detail


@pytest.mark.parametrize(
    ("status", "how"), [(407, BreakKind.BARRED), (403, 403), (502, 502), (503, 503), (504, 504)]
)
def test_a_page_in_place_of_an_answer_over_plain_http_is_an_answer_unless_only_a_proxy_gives_it(
    status: int, how: BreakKind | int
) -> None:
    """Whose page a 502 is, nobody can tell: it is judged like a gateway's."""

    async def main() -> Answer | BrokenExchange:
        async with RawServer(answering(b"<html>", status=status)) as server:
            return await asyncio.to_thread(exchange, "http://images.example/v1", server.origin)

    found = asyncio.run(main())
    assert (found.how if isinstance(found, BrokenExchange) else found.status) == how


def test_a_proxy_that_breaks_off_after_the_request_leaves_it_undecided() -> None:
    async def main() -> Answer | BrokenExchange:
        async with RawServer(leaves) as server:
            return await asyncio.to_thread(exchange, "http://images.example/v1", server.origin)

    async def leaves(connection: Any) -> None:
        await connection.request()

    assert broke(asyncio.run(main())) == (BreakKind.DISCONNECTED, None)


# The guard


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/x.png",
        "http://10.0.0.1/x.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/x.png",
        "http://0x7f000001/x.png",
        "http://localhost/x.png",
        "http://metadata.google.internal/x.png",
        "http://wiki/x.png",
        "http://files.corp/x.png",
        "http://printer.local/x.png",
        "file:///etc/passwd",
    ],
)
def test_what_is_private_is_not_asked_of_the_proxy(proxy: ProxyServer, url: str) -> None:
    before = proxy.asked()
    with pytest.raises(DownloadRefused):
        exchange("https://images.example/v1", proxy.url, url)
    assert proxy.asked() == before


def test_the_proxy_itself_is_no_place_for_images(proxy: ProxyServer) -> None:
    for no_proxy in ("", "*"):
        with pytest.raises(DownloadRefused):
            exchange("http://127.0.0.1:9/v1", proxy.url, f"{proxy.url}/x.png", no_proxy=no_proxy)


def test_a_redirect_to_a_private_place_is_not_asked_of_the_proxy(proxy: ProxyServer) -> None:
    async def main() -> int:
        handler = answering(b"", status=302, Location="http://10.1.2.3/x.png")
        async with RawServer(handler) as server:
            with pytest.raises(DownloadRefused):
                await asyncio.to_thread(exchange, server.base_url, proxy.url, f"{server.base_url}/x.png")
            return server.port

    port = asyncio.run(main())
    asked = [where for method, where in proxy.asked_at_least(1) if method == "GET"]
    assert f"127.0.0.1:{port}/v1/x.png" in asked
    assert not any("10.1.2.3" in where for where in asked)


def test_a_name_that_only_the_proxy_knows_is_the_proxys_to_resolve() -> None:
    """As in an office whose machines know no names of the world outside."""

    async def main() -> tuple[Answer | BrokenExchange, list[str]]:
        async with RawServer(answering(PNG)) as server:
            url = "http://images.invalid/1.png?sig=a%2Fb"
            found = await asyncio.to_thread(exchange, "http://api.invalid/v1", server.origin, url)
            return found, [seen.target for seen in server.requests]

    found, targets = asyncio.run(main())
    assert isinstance(found, Answer)
    assert b"".join(found.body.raw) == PNG
    assert targets == ["http://images.invalid/1.png?sig=a%2Fb"]


# Others who ask


def test_doctor_goes_through_the_proxy_and_says_so(
    command: CommandLine, service: ImageService, guarded_proxy: ProxyServer, ca_file: Path
) -> None:
    url = f"http://{CREDENTIALS}@{guarded_proxy.address}"
    environ = {"HTTP_PROXY": url, "HTTPS_PROXY": url, **WITH_CANARY}
    options = ("--base-url", service.base_url, "--set", f"endpoint.ca_file={ca_file}")
    before = len(guarded_proxy.asked())
    done = command("doctor", *options, environ=environ)
    assert done.code == 0, done.out
    assert f"{guarded_proxy.url} of " in done.out
    assert PASSWORD not in done.out + done.err
    assert [path for _, path in service.seen] == ["/v1/models"]
    assert of(guarded_proxy.asked_at_least(before + 1)[before:], service)


def test_pings_go_through_the_proxy(
    command: CommandLine, service: ImageService, guarded_proxy: ProxyServer, ca_file: Path
) -> None:
    (command.cwd / "prompts.csv").write_text("prompt\na fox\n")
    url = f"http://{CREDENTIALS}@{guarded_proxy.address}"
    environ = {"HTTP_PROXY": url, "HTTPS_PROXY": url}
    before = len(guarded_proxy.asked())
    options = ("--ping-url", f"{service.origin}/ping", "--set", f"endpoint.ca_file={ca_file}")
    done = command("run", "prompts.csv", "--simulate", "-q", *options, environ=environ)
    assert done.code == 0, done.err
    assert service.seen == [("POST", "/ping/start"), ("POST", "/ping")]
    assert len(of(guarded_proxy.asked_at_least(before + 2)[before:], service)) == 2
    assert PASSWORD not in done.out + done.err
