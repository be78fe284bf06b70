"""The stage of a story of many nights: a nightly job, a service that comes and goes on one port, and who is told.

The job is `paintings.toml`: a folder of output a month, a folder of manifests a month that grows every day. Each night is
a process that is given its day by `--date`; no clock of the machine plays a part.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.text.wording import count_text
from tests.support.audience import Post, figures
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended, Service

PRICE = 0.05
METRICS = "paintings.prom"
_JOB = """
manifest = "incoming/{{date:%Y-%m}}/*.csv"
out = "runs/{{date:%Y-%m}}"
[request]
size = "64x64"
[endpoint]
base_url = "http://127.0.0.1:{port}/v1"
[limits]
concurrency = 2
[budget]
price = {price}
max_cost = 5.0
[run]
metrics_file = "{metrics}"
ping_url = "http://127.0.0.1:{office}/night"
[notify]
urls = ["json://127.0.0.1:{office}/people"]
on = "always"
"""
RUN_FIGURES = (
    *("duration_s", "rows_sent", "rows_skipped"),
    *("requests_sent", "images_saved", "maybe_billed", "cost_usd"),
)
_ATTEMPTS = (
    "SELECT items.prompt, (SELECT count(*) FROM images WHERE images.attempt = a.attempt), coalesce(maybe_billed, 0) "
    "FROM attempts a JOIN items USING (item) LEFT JOIN outcomes USING (attempt)"
)


def pinged(said: dict[str, Any]) -> tuple[str, str]:
    """What the dead-man's switch is told of an end: path and body."""
    code = said["exit_code"]
    return f"/night/{code}" if code else "/night", said["exit_reason"]


@dataclass
class Paid:
    """What became of one prompt's requests in the ledgers."""

    images: int = 0
    maybe: int = 0


@dataclass
class Nights:
    """The job, and what the test knows of it. port: of the service. billed: images by prompt, of its ended lives.

    rows: the manifests by month and file, id -> [prompt, n]. runs: (month, exit code) of the runs that should be listed.
    """

    command: CommandLine
    office: Post
    port: int
    service: Service | None = None
    billed: Counter[str] = field(default_factory=Counter)
    rows: dict[str, dict[str, dict[str, list[str]]]] = field(default_factory=dict)
    runs: list[tuple[str, int | None]] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, float]:
        """The figures of the metrics file."""
        return figures(self.command.cwd / METRICS)

    @contextmanager
    def serving(self, *faults: tuple[str, str]) -> Iterator[Service]:
        """A life of the service. faults: pattern over the prompt, and kind, for the first request of each prompt."""
        lines = [f'[[fault]]\nmatch = "{match}"\nkind = "{kind}"\ntimes = 1\n' for match, kind in faults]
        scenario = self.command.cwd / "scenario.toml"
        scenario.write_text("latency = { median = 0 }\n" + "".join(lines))
        with Service(self.command, "--port", str(self.port), "--scenario", str(scenario)) as self.service:
            yield self.service
            self.billed += Counter(self.service.stats()["billed_by_prompt"])
        self.service = None

    def bring(self, month: str, file: str, *ids: str) -> None:
        """A file of new rows arrives."""
        self.rows.setdefault(month, {})[file] = {row_id: [f"the painting {row_id}", ""] for row_id in ids}
        self.write(month)

    def write(self, month: str) -> None:
        """Write the month's manifests as `rows` has them now."""
        folder = self.command.cwd / "incoming" / month
        folder.mkdir(parents=True, exist_ok=True)
        for file, rows in self.rows[month].items():
            text = io.StringIO()
            csv.writer(text).writerows(
                [["id", "prompt", "n"], *([row_id, *row] for row_id, row in rows.items())]
            )
            (folder / file).write_text(text.getvalue())

    def asked(self, month: str) -> list[tuple[str, str, int]]:
        """Id, prompt and index of every image that the month's manifests ask for, in their order."""
        files = sorted(self.rows[month].items())
        rows = [(row_id, *row) for _, rows in files for row_id, row in rows.items()]
        return [(row_id, prompt, index) for row_id, prompt, n in rows for index in range(int(n or 1))]

    def arguments(self, day: str, *options: str) -> tuple[str, ...]:
        return ("run", "paintings.toml", "--date", day, "--json", "--progress", "none", *options)

    def start(self, day: str, *options: str) -> subprocess.Popen[str]:
        """Start a night without waiting."""
        return self.command.start(*self.arguments(day, *options), environ=WITH_CANARY)

    def night(self, day: str, code: int, *options: str, key: str | None = None) -> dict[str, Any]:
        """Run a night that should end with this code, to its end; the object of `--json`.

        Everything that is told of it must agree: exit status, summary, metrics, dead-man's switch, results table.
        """
        self.office.taken.clear()
        environ = WITH_CANARY if key is None else {"IMAGEMILL_API_KEY": key}
        before = Counter() if self.service is None else self._served()
        ended = self.command(*self.arguments(day, *options), environ=environ)
        assert ended.code == code, ended.err
        said = self.told(day, ended)
        if self.service is not None and "run_id" in said:
            served = self._served() - before
            assert (served["requests"], served["billed_images"]) == (
                said["requests_sent"],
                said["images_saved"],
            )
        (message,) = (body for path, body in self.office.taken if path == "/people")
        assert self.pings() == [("/night/start", ""), pinged(said)]
        self._is_in_message(json.loads(message)["message"], said)
        return said

    def pings(self) -> list[tuple[str, str]]:
        """What the dead-man's switch heard: path and body."""
        return [(path, body) for path, body in self.office.taken if path != "/people"]

    def _served(self) -> Counter[str]:
        """The service's own account."""
        assert self.service is not None
        stats = self.service.stats()
        return Counter({name: stats[name] for name in ("requests", "billed_images")})

    def _is_in_message(self, text: str, said: dict[str, Any]) -> None:
        """What people are told of the night."""
        assert said["exit_reason"].splitlines()[0] in text
        if "run_id" in said:
            for line in (
                f"this run: {count_text(said['rows_sent'], 'row')} sent in {count_text(said['requests_sent'], 'request')}, "
                f"{count_text(said['images_saved'], 'image')} saved",
                f"{count_text(said['folder']['runs'], 'run')}, {count_text(said['folder']['requests_sent'], 'request')}",
            ):
                assert line in text

    def told(self, day: str, ended: Ended) -> dict[str, Any]:
        """Check what is told of a night that ended and had the job's lock, but for the switch; the object of `--json`."""
        said, month = ended.json, day[:7]
        assert said["exit_code"] == ended.code
        self._is_in_metrics(said)
        if "run_id" in said:
            self.runs.append((month, ended.code))
            assert json.loads((self.command.cwd / f"runs/{month}/summary.json").read_text()) == said
            self.is_conserved(month)
            self._is_told_everywhere(f"runs/{month}", said)
        return said

    def _is_in_metrics(self, said: dict[str, Any]) -> None:
        last = "imagemill_last_run_"
        expected = {"imagemill_running": 0, f"{last}exit_code": said["exit_code"]}
        if "run_id" in said:
            expected |= {f"{last}{name}": said[name] for name in (*RUN_FIGURES[1:], "simulated")}
            expected |= {f"imagemill_folder_{name}": value for name, value in said["folder"].items()}
            expected["imagemill_manifest_rows"] = said["rows"]
            for figure, name in (("images", "by_status"), ("errors", "by_error")):
                expected |= {
                    f"imagemill_manifest_{figure}:{kind}": count for kind, count in said[name].items()
                }
        seen = self.metrics
        timed = {f"{last}timestamp_seconds", *([f"{last}duration_seconds"] if "run_id" in said else [])}
        assert timed <= seen.keys()
        assert {name: value for name, value in seen.items() if name not in timed} == expected

    def _is_told_everywhere(self, out: str, said: dict[str, Any]) -> None:
        """`status` and `runs` tell the same of the night, and the nights add up to the folder."""
        status = self.command("status", out, "--json").json
        same = (
            "run_id",
            "started",
            "finished",
            "duration_s",
            *RUN_FIGURES,
            "folder",
            "by_status",
            "by_error",
        )
        assert {name: status[name] for name in same} == {name: said[name] for name in same}
        runs = self.command("runs", out, "--limit", "99", "--json").json["runs"]
        assert runs[0]["run_id"] == said["run_id"]
        for name in ("requests_sent", "images_saved", "maybe_billed"):
            assert runs[0][name] == said[name]
            assert sum(run[name] for run in runs) == said["folder"][name]
        assert runs[0]["rows"] == said["rows_sent"]
        assert len(runs) == said["folder"]["runs"]
        assert (runs[0]["cost_usd"] or 0) == said["cost_usd"]
        total = sum(run["cost_usd"] or 0 for run in runs)
        assert round(total, 6) == said["folder"]["cost_usd"]

    def is_conserved(self, month: str) -> None:
        """Every image that the manifests ask for is in the results just once, byte for byte (G0)."""
        rows = [(row["row_id"], row["prompt"], row["image_index"]) for row in self.results(month)]
        assert rows == self.asked(month)

    def results(self, month: str) -> list[dict[str, Any]]:
        return self.command.results(f"runs/{month}")

    def statuses(self, month: str) -> Counter[str]:
        """Results rows by status."""
        return Counter(row["status"] for row in self.results(month))

    def ids(self, month: str, status: str) -> list[str]:
        """Ids of the rows of this status."""
        return [row["row_id"] for row in self.results(month) if row["status"] == status]

    def ledger(self, month: str, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a ledger."""
        path = self.command.cwd / f"runs/{month}/ledger.sqlite"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def paid(self, *months: str) -> dict[str, Paid]:
        """What the ledgers tell of each prompt."""
        paid: dict[str, Paid] = {}
        for month in months:
            for prompt, images, maybe in self.ledger(month, _ATTEMPTS):
                entry = paid.setdefault(prompt, Paid())
                entry.images += images
                entry.maybe += maybe
        return paid

    def lost_images(self, month: str) -> list[str]:
        """Images of the ledger that are not on disk with their digest."""
        images = self.ledger(month, "SELECT file_name, sha256 FROM images")
        assert images
        out = self.command.cwd / f"runs/{month}"
        return [
            name for name, digest in images if hashlib.sha256((out / name).read_bytes()).digest() != digest
        ]

    def kept(self, month: str) -> dict[Path, bytes]:
        """The files of a folder that a run which has nothing to do may not change (G9)."""
        out = self.command.cwd / f"runs/{month}"
        changing = ("ledger.sqlite", "summary.json")
        return {
            path: path.read_bytes()
            for path in out.rglob("*")
            if path.is_file() and not path.name.startswith(changing) and path.parent.name != "logs"
        }


@contextmanager
def nights(command: CommandLine, office: Post) -> Iterator[Nights]:
    """The job with a port that stays its service's, also while nothing listens on it."""
    with socket.socket() as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        plug.bind(("127.0.0.1", 0))
        port = plug.getsockname()[1]
        text = _JOB.format(port=port, office=office.port, price=PRICE, metrics=METRICS)
        (command.cwd / "paintings.toml").write_text(text)
        yield Nights(command, office, port)
