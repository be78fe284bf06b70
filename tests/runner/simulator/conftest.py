"""The simulator as a user meets it: a process of its own, asked over real sockets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.simulator.faults.kinds import KINDS
from tests.support.simulator import Simulator, Start

COMMAND = [sys.executable, "-m", "runner.simulator"]


def _starter(folder: Path) -> Iterator[Start]:
    running: list[Simulator] = []

    def start(*options: str, scenario: str | None = None) -> Simulator:
        arguments = [*COMMAND, *(options or ("--latency", "0"))]
        if scenario is not None:
            path = folder / f"scenario{len(running)}.toml"
            path.write_text(scenario, encoding="utf-8")
            arguments += ["--scenario", str(path)]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("base_url=http://127.0.0.1:"), first
        running.append(Simulator(int(first.rsplit(":", 1)[1].split("/")[0]), process))
        return running[-1]

    yield start
    for simulator in running:
        simulator.process.terminate()
        _, complaints = simulator.process.communicate(timeout=20)
        assert complaints == ""
        assert simulator.process.returncode == 0


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Start]:
    """Starts simulators; at the end each must stop with exit code 0 and an empty stderr."""
    yield from _starter(tmp_path)


@pytest.fixture(scope="module")
def simulate_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """The same, for a simulator that a module shares."""
    yield from _starter(tmp_path_factory.mktemp("simulator"))


QUICK = {
    "slow": "delay = 0.01",
    "url_slow": "delay = 0.01",
    "drip": "delay = 0",
    "huge_body": "at_byte = 700000",
}


@pytest.fixture(scope="module")
def faulty(simulate_once: Start) -> Simulator:
    """A simulator where the prompt `kind NAME;` meets that fault, whichever it is."""
    faults = [
        f"[[fault]]\nmatch = '^kind {name};'\nkind = '{name}'\n{QUICK.get(name, '')}\n" for name in KINDS
    ]
    return simulate_once(scenario="latency = { median = 0 }\n" + "\n".join(faults))


@pytest.fixture(scope="module")
def dieyuyun(simulate_once: Start) -> Simulator:
    """A simulator with the default profile."""
    return simulate_once("--latency", "0")


@pytest.fixture(scope="module")
def openai(simulate_once: Start) -> Simulator:
    """A simulator with OpenAI's behaviour."""
    return simulate_once("--latency", "0", "--profile", "openai")
