"""The command against a stand-alone simulator, judged by the simulator's own account."""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.canary import WITH_CANARY, is_in, leaks
from tests.support.commandline import CommandLine, Ended, Service

LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Look:
    """The service's account at one moment. at: seconds, monotonic."""

    at: float
    admitted: int
    refused: int


@dataclass
class Bench:
    """A folder of its own, a simulator, and the command. looks: taken while `watched`."""

    folder: Path
    service: Service
    command: CommandLine
    looks: list[Look] = field(default_factory=list)

    def manifest(self, images: list[int], name: str = "prompts") -> Path:
        """A CSV with a row for each number: its n."""
        path = self.folder / f"{name}.csv"
        rows = [f"{name} picture {number},{n}" for number, n in enumerate(images)]
        path.write_text("\n".join(["prompt,n", *rows]) + "\n")
        return path

    def options(self, manifest: Path, *options: str, out: str = "out") -> tuple[str, ...]:
        """Arguments of `run` or `plan` for this service."""
        fixed = ("--base-url", self.service.base_url, "--size", "64x64", "--out", out, "--json", "-q")
        return (str(manifest), *fixed, *options)

    def run(self, manifest: Path, *options: str, out: str = "out", verb: str = "run") -> Ended:
        """`imagemill run` (or `plan`) to its end."""
        ended = self.command(verb, *self.options(manifest, *options, out=out), environ=WITH_CANARY)
        assert not is_in((ended.out + ended.err).encode())
        return ended

    def stats(self) -> dict[str, Any]:
        """The service's account."""
        return self.service.stats()

    @contextmanager
    def watched(self) -> Iterator[list[Look]]:
        """Looks at the service's account a few times a second, for as long as the block lasts."""
        done = threading.Event()

        def look() -> None:
            while not done.wait(LOOK_EVERY_S):
                stats = self.stats()
                refused = int(stats["statuses"].get("429", 0))
                self.looks.append(Look(time.monotonic(), stats["billed_requests"], refused))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield self.looks
        finally:
            done.set()
            thread.join()


@contextmanager
def bench(scenario: str, *options: str) -> Iterator[Bench]:
    """A simulator with this scenario (TOML), and a folder to run in."""
    with tempfile.TemporaryDirectory(prefix="imagemill-bench-") as temporary:
        folder = Path(temporary)
        (folder / "scenario.toml").write_text(scenario)
        command = CommandLine(folder)
        with Service(command, "--scenario", "scenario.toml", *options) as service:
            yield Bench(folder, service, command)
        assert leaks(folder) == []


def mixed(rows: int, seed: int) -> list[int]:
    """So many n from 1 to 10, at random."""
    chance = random.Random(seed)
    return [chance.randint(1, 10) for _ in range(rows)]


def summary(ended: Ended) -> dict[str, Any]:
    """The summary that a run printed; its complaint where it has none."""
    assert ended.out, ended.err
    found: dict[str, Any] = json.loads(ended.out.splitlines()[-1])
    return found
