"""A manifest, a service that counts what it is asked, and the command between them."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.canary import WITH_CANARY
from tests.support.commandline import COMMAND, CommandLine, Ended, Service
from tests.support.waiting import until

HANG_S = 120.0
_SILENT_LOOKS = 40


@dataclass(frozen=True, slots=True)
class ServedJob:
    """A job of `rows` distinct prompts. out: relative to the command's folder."""

    command: CommandLine
    service: Service
    rows: int
    out: str = "out"

    def arguments(self, *options: str) -> tuple[str, ...]:
        """`run` with these options besides what every job has."""
        fixed = ("run", "prompts.csv", "--base-url", self.service.base_url, "--size", "64x64")
        return (*fixed, "--out", self.out, "--json", "-q", *options)

    def run(self, *options: str) -> Ended:
        """Run to the end."""
        return self.command(*self.arguments(*options), environ=WITH_CANARY)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start without waiting."""
        return self.command.start(*self.arguments(*options), environ=WITH_CANARY)

    def retry(self, *options: str) -> Ended:
        """`retry` of the folder, to the end."""
        return self.command("retry", self.out, "--json", "-q", *options, environ=WITH_CANARY)

    def limited(self, limit: str, *options: str) -> Ended:
        """Run to the end under a shell's `ulimit`."""
        done = subprocess.run(
            ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", COMMAND, *self.arguments(*options)],
            cwd=self.command.cwd,
            env=self.command.environ(**WITH_CANARY),
            capture_output=True,
            text=True,
            timeout=HANG_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def reach(self, requests: int) -> None:
        """Wait until the service has got so many requests."""
        until(lambda: int(self.service.stats()["requests"]) >= requests)

    def fall_silent(self) -> None:
        """Wait until nothing is in flight and nothing more is asked for, many looks running."""
        looks = [-1] * _SILENT_LOOKS

        def silent() -> bool:
            stats = self.service.stats()
            looks.append(int(stats["requests"]))
            return stats["in_flight"] == 0 and len({*looks[-_SILENT_LOOKS:]}) == 1

        until(silent)

    def sent(self) -> dict[str, int]:
        """Requests by prompt, counted by the service."""
        return dict(self.service.stats()["by_prompt"])

    def statuses(self) -> Counter[str]:
        """Results rows by status, in the table."""
        return Counter(row["status"] for row in self.command.results(self.out))

    def is_bought_once(self) -> bool:
        """Whether every row is there, succeeded, and was sent just once."""
        done = self.statuses() == {"succeeded": self.rows} and Counter(self.sent().values()) == {1: self.rows}
        return done and self.command("verify", self.out).code == 0


@contextmanager
def served_job(
    command: CommandLine, *options: str, rows: int = 40, stuck: int = 0, out: str = "out"
) -> Iterator[ServedJob]:
    """A job and its service. options: of the service. stuck: the first so many requests for rows are never answered."""
    text = "".join(f"r{row},{'stuck' if row < stuck else 'picture'} {row}\n" for row in range(rows))
    (command.cwd / "prompts.csv").write_text(f"id,prompt\n{text}")
    scenario = command.cwd / "stuck.toml"
    scenario.write_text('[[fault]]\nmatch = "stuck"\nkind = "hang"\ntimes = 1\n')
    with Service(command, "--scenario", str(scenario), *options) as service:
        yield ServedJob(command, service, rows, out)


def last_object(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a started command; the object on the last line of its output."""
    output = process.communicate(timeout=HANG_S)[0]
    return Ended(process.returncode, output, "").json
