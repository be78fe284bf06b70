"""The simulator as a program: its first line, its options, its ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from runner.simulator.faults.kinds import KINDS
from runner.simulator.server import main
from tests.support.canary import CANARY
from tests.support.simulator import Start

COMMAND = [sys.executable, "-m", "runner.simulator"]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=30, check=False)


def test_the_first_line_and_the_end_of_stdin() -> None:
    command, pipe = [*COMMAND, "--parent-stdin"], subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin and process.stdout and process.stderr
        first = process.stdout.readline()
        port = int(first.removeprefix("base_url=http://127.0.0.1:").removesuffix("/v1\n"))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plug:
            plug.sendall(b"GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert plug.recv(15) == b"HTTP/1.1 200 OK"
        process.stdin.write("anything\n")
        process.stdin.flush()
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=10) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_it_dies_with_a_parent_that_is_killed() -> None:
    parent = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'runner.simulator', '--parent-stdin'], stdin=subprocess.PIPE)\n"
        "child.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("base_url=")
        process.kill()
        assert process.stdout.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_quietly_even_with_requests_hanging(simulate: Start, number: int) -> None:
    simulator = simulate(scenario="[[fault]]\nmatch='.'\nkind='hang'")
    with simulator.open(), simulator.open():
        simulator.wait_for("in_flight", 2)
        simulator.process.send_signal(number)
        assert simulator.process.wait(timeout=10) == 0


def test_callers_who_leave_midway_are_no_news(simulate: Start) -> None:
    simulator = simulate("--latency", "0.02")
    head = (
        b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n" % CANARY.encode()
    )
    head += b"Content-Type: application/json\r\n"
    for opening in (b"POST /v1/ima", head, head + b"Content-Length: 500\r\n\r\n{"):
        with socket.create_connection(("127.0.0.1", simulator.port), timeout=5) as plug:
            plug.sendall(opening)
    with simulator.open(prompt="paid and not fetched"):
        simulator.wait_for("billed_requests", 1)
    simulator.wait_for("in_flight", 0)
    assert simulator.stats()["billed_by_prompt"] == {"paid and not fetched": 1}


def test_a_port_in_use(simulate: Start) -> None:
    taken = simulate().port
    outcome = run("--port", str(taken))
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith(f"simulate: cannot listen on 127.0.0.1:{taken}:")
    assert "Traceback" not in outcome.stderr
    assert run("--port", "70000").returncode == 2


def test_a_port_of_choice(simulate: Start) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert simulate("--port", str(port)).port == port


def test_a_bad_scenario(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[[fault]]\nkind = 'hangs'\nmatch = 'x'", encoding="utf-8")
    outcome = run("--scenario", str(path))
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "did you mean 'hang'?" in outcome.stderr


@pytest.mark.parametrize(
    "options", [["--rpm", "0"], ["--latency", "-1"], ["--ipm", "nan"], ["--profile", "acme"], ["--prot"]]
)
def test_bad_options(options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2


def test_list_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-faults"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["kind", *KINDS]
    assert all(len(line) < 120 for line in lines)


def test_a_thousand_connections_at_once(simulate: Start) -> None:
    simulator = simulate("--latency", "0.3")
    order = {"model": "m", "size": "16x16", "response_format": "url"}

    async def ask_all() -> list[int]:
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {CANARY}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

            async def ask(number: int) -> int:
                url = f"{simulator.base_url}/images/generations"
                async with session.post(url, json=order | {"prompt": f"number {number}"}) as answer:
                    return len(json.loads(await answer.read())["data"])

            return await asyncio.gather(*(ask(number) for number in range(1_000)))

    assert asyncio.run(ask_all()) == [1] * 1_000
    stats = simulator.stats()
    assert (stats["requests"], stats["billed_images"], stats["in_flight"]) == (1_000, 1_000, 0)
    assert stats["max_in_flight"] > 100


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("official", "/v1"),
        ("piapi", "/api/v1"),
        ("gemini", "/v1beta/openai"),
        ("azure", "/openai/deployments/gpt-image-2?api-version=2025-04-01-preview"),
    ],
)
def test_the_first_line_is_the_base(name: str, base: str) -> None:
    command = [sys.executable, "-m", "runner.simulator", "--parent-stdin", "--dialect", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        first = process.stdout.readline()
        process.stdin.close()
        assert first.startswith("base_url=http://127.0.0.1:")
        assert first.rstrip().endswith(base)
