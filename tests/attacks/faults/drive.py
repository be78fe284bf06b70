"""Runs `imagemill run` against the fault server and brings back what the judge needs.

Every fault that concerns one row goes into one manifest, in a shuffled order with a plain row after each; each of the others
gets a server, a folder and a run of its own.
"""

from __future__ import annotations

import csv
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attacks.faults import journal
from tests.attacks.faults.catalogue import ALONE, MIXED
from tests.attacks.faults.expectation import Alone, Fault
from tests.attacks.faults.journal import History

KEY = "sk-canary-7d3f1a9be04c4e52"
KEY_ENV = "FAULTS_API_KEY"
COLUMNS = ("id", "prompt", "n", "response_format", "output_format", "size")
MIXED_NAME = "mixed"
MIXED_OPTIONS = ("--attempts", "3", "--timeout", "4", "--concurrency", "16")
ALONE_OPTIONS = ("--attempts", "3", "--timeout", "4", "--concurrency", "2")
MAX_IMAGE_BYTES = 8 * 2**20
SLOW_ACTS = ("never", "stall", "drip")
PARALLEL_RUNS = 3
HANG_S = 240.0


@dataclass(frozen=True, slots=True)
class Planned:
    """One manifest row. position: from 0. fault: None for a plain row."""

    position: int
    prompt: str
    fields: dict[str, str]
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """One finished `imagemill run`.

    exit_code: None when it had to be killed. summary: the object on the last line of stdout, empty when there is none.
    peak_bytes: most resident memory of the process. again: the run repeated on the finished folder, where that was done.
    alone: how the run was set up; None for the shared one.
    """

    name: str
    rows: tuple[Planned, ...]
    out: Path
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    history: History
    summary: dict[str, Any]
    peak_bytes: int
    alone: Alone | None = None
    again: Again | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """The same command on a finished folder: its exit code, the POSTs it sent, the files whose bytes changed."""

    exit_code: int | None
    requests: int
    changed: tuple[str, ...]


def plain_row(position: int, group: str) -> Planned:
    """A row that succeeds; the forms of answer take turns."""
    fields = ({"response_format": "b64_json"}, {"response_format": "url"}, {})[position // 2 % 3]
    return Planned(position, f"{group}, plain row {position}: an owl on a fence", fields)


def mixed_rows(faults: list[Fault]) -> tuple[Planned, ...]:
    """Every fault once, shuffled, those that take long first; a plain row after each."""
    random.Random(20261122).shuffle(faults)
    faults.sort(key=lambda fault: not any(word in fault.marker for word in SLOW_ACTS))
    rows: list[Planned] = []
    for fault in faults:
        rows.append(Planned(len(rows), fault.prompt, fault.fields, fault))
        rows.append(plain_row(len(rows), MIXED_NAME))
    return tuple(rows)


def alone_rows(fault: Fault, alone: Alone) -> tuple[Planned, ...]:
    """Plain rows, the faulty ones, plain rows."""
    middle = range(alone.before, alone.before + alone.copies)
    return tuple(
        Planned(position, fault.prompt_of(position - alone.before), fault.fields, fault)
        if position in middle
        else plain_row(position, fault.name)
        for position in range(alone.before + alone.copies + alone.after)
    )


def write_manifest(path: Path, rows: tuple[Planned, ...]) -> None:
    """The rows as CSV; an empty cell means the default."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            cells = {"id": f"row-{row.position:05}", "prompt": row.prompt, **row.fields}
            writer.writerow([cells.get(name, "") for name in COLUMNS])


@contextmanager
def serving(path: Path, accept: str = "") -> Iterator[str]:
    """A fault server in a process of its own; its base URL."""
    command = [sys.executable, "-m", "tests.attacks.faults.server", "--journal", str(path), "--key", KEY]
    with subprocess.Popen(
        [*command, "--accept", accept], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield server.stdout.readline().strip().removeprefix("base_url=")
        finally:
            server.stdin.close()
            server.wait(30)


def nobody_there() -> str:
    """A base URL at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def command_of(work: Path, base_url: str, options: tuple[str, ...]) -> list[str]:
    """The command line of one run. The working directory is `work`, so that reports hold no path of this machine."""
    program = str(Path(sys.executable).with_name("imagemill"))
    fixed = [
        "--base-url",
        base_url,
        "--out",
        "out",
        "--api-key-env",
        KEY_ENV,
        "--json",
        "--progress",
        "plain",
    ]
    cap = ["--set", f"output.max_image_bytes={MAX_IMAGE_BYTES}", "--set", "endpoint.fetch_timeout=1"]
    return [program, "run", "manifest.csv", *fixed, *cap, *options]


def execute(work: Path, command: list[str], label: str) -> tuple[int | None, int]:
    """Run to the end: exit code (None: killed after HANG_S seconds) and peak resident bytes."""
    environment = {"PATH": os.defpath, "HOME": str(work), KEY_ENV: KEY, "LANG": "C.UTF-8"}
    with (work / f"{label}.stdout").open("wb") as out, (work / f"{label}.stderr").open("wb") as err:
        process = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
    alarm = threading.Timer(HANG_S, process.kill)
    alarm.start()
    _, status, usage = os.wait4(process.pid, 0)
    alarm.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    hung = process.returncode == -9
    return (None if hung else process.returncode), usage.ru_maxrss * 1024


def last_object(stdout: bytes) -> dict[str, Any]:
    """The JSON object on the last line; empty when there is none."""
    lines = stdout.decode("utf-8", "replace").strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def frozen_files(out: Path) -> dict[str, bytes]:
    """What a finished job must never change: images, quarantine, results and the resolved job."""
    folders = [
        path for name in ("images", "quarantine") for path in (out / name).rglob("*") if path.is_file()
    ]
    single = [out / name for name in ("results.parquet", "job.toml") if (out / name).exists()]
    return {str(path.relative_to(out)): path.read_bytes() for path in [*folders, *single]}


def run_again(work: Path, command: list[str], record: Path) -> Again:
    """The same command once more, and what it did."""
    before, sent = frozen_files(work / "out"), len(journal.read(record).all("request"))
    exit_code, _ = execute(work, command, "again")
    now = frozen_files(work / "out")
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return Again(exit_code, len(journal.read(record).all("request")) - sent, tuple(changed))


def run_one(
    work: Path,
    name: str,
    rows: tuple[Planned, ...],
    options: tuple[str, ...],
    alone: Alone | None = None,
    *,
    twice: bool = False,
) -> Ran:
    """One server, one run."""
    work.mkdir(parents=True)
    write_manifest(work / "manifest.csv", rows)
    record = work / "journal.jsonl"
    with serving(record, alone.accept if alone else "") as base_url:
        command = command_of(work, nobody_there() if alone and alone.down else base_url, options)
        exit_code, peak_bytes = execute(work, command, "first")
        history = journal.read(record)
        again = run_again(work, command, record) if twice else None
    stdout, stderr = ((work / f"first.{stream}").read_bytes() for stream in ("stdout", "stderr"))
    summary = last_object(stdout)
    return Ran(
        name, rows, work / "out", exit_code, stdout, stderr, history, summary, peak_bytes, alone, again
    )


def run_alone(folder: Path, fault: Fault) -> Ran:
    """The run of a fault that needs one of its own."""
    assert fault.alone
    options = (*ALONE_OPTIONS, *fault.alone.options)
    return run_one(folder / fault.name, fault.name, alone_rows(fault, fault.alone), options, fault.alone)


def run_mixed(folder: Path, faults: list[Fault]) -> Ran:
    """The shared run, then the same command again."""
    return run_one(folder / MIXED_NAME, MIXED_NAME, mixed_rows(faults), MIXED_OPTIONS, twice=True)


def run_all(folder: Path, names: frozenset[str]) -> list[Ran]:
    """The runs that the named faults need, a few at a time."""
    shared = [fault for fault in MIXED if fault.name in names]
    with ThreadPoolExecutor(PARALLEL_RUNS) as pool:
        tasks = [pool.submit(run_mixed, folder, shared)] if shared else []
        tasks += [pool.submit(run_alone, folder, fault) for fault in ALONE if fault.name in names]
        return [task.result() for task in tasks]
