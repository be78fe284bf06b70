"""Images behind URLs."""

from __future__ import annotations

import asyncio

import pytest

from jobs.classify import BreakKind
from runner.http.client import MAX_REDIRECTS
from runner.http.messages import Answer, BrokenExchange
from runner.http.ssrf_guard import DownloadRefused
from tests.support.clock import clock, run
from tests.support.exchanges import (
    BODY,
    IMAGE,
    broke,
    fetch,
    fetched,
    opened,
    whole,
)
from tests.support.exchanges import way as way
from tests.support.rawserver import (
    Connection,
    Handler,
    RawServer,
    Seen,
    answering,
)


def test_a_fetched_image_is_its_bytes_and_is_not_looked_into() -> None:
    found, (seen,) = fetched(answering(BODY))
    answer = whole(found, BODY)
    assert (answer.body.images, b"".join(answer.body.raw)) == ((), BODY)
    assert seen.method == "GET"


@pytest.mark.parametrize(
    ("path", "with_key"),
    [("/v1/files/1.png", True), ("/files/1.png", False), ("/v10/x", False), ("/v1/../files/1.png", False)],
)
def test_the_key_goes_only_below_the_base_url(path: str, with_key: bool) -> None:
    _, (seen,) = fetched(answering(IMAGE), path)
    assert ("authorization" in seen.headers) is with_key


def test_the_key_stays_at_home_when_a_listed_host_serves_the_image() -> None:
    async def main() -> list[Seen]:
        async with (
            RawServer(answering(IMAGE)) as files,
            opened("http://127.0.0.1:9/v1", f"127.0.0.1:{files.port}") as transport,
        ):
            whole(await fetch(transport, f"{files.base_url}/1.png"), IMAGE)
            return files.requests

    (seen,) = run(main())
    assert "authorization" not in seen.headers


@pytest.mark.parametrize(
    ("url", "target"),
    [("/p/img/1.png?exp=1&sig=x", "/p/img/1.png?exp=1&sig=x"), ("files/1.png", "/files/1.png")],
)
def test_a_relative_url_is_the_endpoints(url: str, target: str) -> None:
    async def main() -> list[Seen]:
        async with RawServer(answering(IMAGE)) as server, opened(server.base_url) as transport:
            whole(await fetch(transport, url), IMAGE)
            return server.requests

    assert [seen.target for seen in run(main())] == [target]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/x.png?X-Amz-Credential=AK%2F20261122%2Fus-east-1&X-Amz-Signature=abc",
        "/v1/a%2Fb%20c.png?sig=a%2Bb%2F%3D%3D&t=%7E~",
        "/v1/x.png?sig=a+b/c==&e=%e4%E4",
        "/v1/x.png?a=1&a=2&&b",
        "/v1/%C3%A9/x.png?q=%C3%A9",
        "/v1/x(1)'!*.png?policy=W3siYSI6ICcnfV0_&x=[1]",
    ],
)
def test_a_signed_url_is_asked_for_as_it_was_written(path: str) -> None:
    found, (seen,) = fetched(answering(IMAGE), path)
    whole(found, IMAGE)
    assert seen.target == path


def test_a_url_that_needs_quoting_is_quoted() -> None:
    _, (seen,) = fetched(answering(IMAGE), "/v1/é a.png?q=ü")
    assert seen.target == "/v1/%C3%A9%20a.png?q=%C3%BC"


def redirecting(*targets: str) -> Handler:
    """Sends the first requests on to these places, one each; later ones get the image."""
    left = list(targets)

    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            if left:
                await connection.answer(b"", status=302, Location=left.pop(0))
            else:
                await connection.answer(IMAGE)

    return handle


def test_redirects_of_a_fetch_are_followed_a_few_times() -> None:
    hops = ["/v1/a", "/v1/b", "/v1/c"]
    assert len(hops) == MAX_REDIRECTS
    found, requests = fetched(redirecting(*hops))
    whole(found, IMAGE)
    assert [seen.target for seen in requests] == ["/v1/files/1.png", *hops]


def test_a_redirect_loop_ends() -> None:
    found, requests = fetched(answering(b"", status=307, Location="/v1/files/1.png"))
    assert isinstance(found, BrokenExchange)
    assert "redirects more than 3 times" in found.detail
    assert len(requests) == 1 + MAX_REDIRECTS


def test_the_key_does_not_follow_a_redirect_out_of_the_base_url() -> None:
    _, requests = fetched(redirecting("/other/x.png"))
    assert ["authorization" in seen.headers for seen in requests] == [True, False]


def test_a_redirect_without_a_target_is_an_answer() -> None:
    found, _ = fetched(answering(b"moved", status=302))
    assert whole(found, b"moved").status == 302


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "http://127.0.0.1:1/x.png",
        "http://[::1]:1/x.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/x.png",
        "http://127.1:1/x.png",
        "//0x7f000001:1/x",
        "http://user@8.8.8.8/",
    ],
)
def test_a_redirect_to_where_we_do_not_go_is_refused(target: str) -> None:
    async def main() -> int:
        async with RawServer(redirecting(target)) as server, opened(server.base_url) as transport:
            with pytest.raises(DownloadRefused):
                await fetch(transport, f"{server.base_url}/x.png")
            return len(server.requests)

    assert run(main()) == 1


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "127.0.0.1.", "127.1", "0x7f.1", "2130706433", "①②⑦.0.0.1"],
)
def test_names_and_spellings_of_this_machine_are_not_connected_to(host: str) -> None:
    async def main() -> tuple[object, int]:
        async with (
            RawServer(answering(IMAGE)) as server,
            opened("http://127.0.0.1:9/v1") as transport,
        ):
            try:
                found: object = await fetch(transport, f"http://{host}:{server.port}/x.png")
            except DownloadRefused as refusal:
                found = refusal
            return found, server.connections

    found, connections = run(main())
    assert connections == 0
    assert isinstance(found, DownloadRefused) or broke(found) == (BreakKind.BEFORE_SENDING, None)  # type: ignore[arg-type]


def test_a_listed_name_of_this_machine_is_connected_to() -> None:
    async def main() -> Answer | BrokenExchange:
        async with (
            RawServer(answering(IMAGE)) as server,
            opened("http://127.0.0.1:9/v1", "localhost") as transport,
        ):
            return await fetch(transport, f"http://localhost:{server.port}/x.png")

    whole(run(main()), IMAGE)


@pytest.mark.parametrize(
    "url", ["http://[::1/x", "http://127.0.0.1:99999/", "http://exa mple.com:x/", "mailto:a@b"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    async def main() -> None:
        async with opened("http://127.0.0.1:9/v1") as transport:
            await fetch(transport, url)

    with pytest.raises(DownloadRefused):
        run(main())


def test_fetches_that_wait_for_a_connection_are_not_given_up() -> None:
    """More images than connections, and a server that is slow: waiting for one's turn is not a failure to connect."""

    async def main() -> list[Answer | BrokenExchange]:
        go_on = asyncio.Event()

        async def slow(connection: Connection) -> None:
            await connection.request()
            await go_on.wait()
            await connection.answer(b"image", Connection="close")

        async with RawServer(slow) as server, opened(server.base_url) as transport:
            tasks = [asyncio.create_task(fetch(transport, f"{server.base_url}/{i}.png")) for i in range(70)]
            while len(server.requests) < 64:
                server.arrived.clear()
                await server.arrived.wait()
            clock().put_forward(30)
            await asyncio.sleep(0.01)
            go_on.set()
            return list(await asyncio.gather(*tasks))

    for found in run(main()):
        whole(found, b"image")
