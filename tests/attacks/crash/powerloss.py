"""`python -m tests.attacks.crash.powerloss`: the order of writes, proved on a simulated disk that loses, tears and reorders.

Small runs are recorded by strace, also killed ones with the run that recovers them. After every system call, in every
state that a power cut may leave then, it must hold that

- the ledger opens, and holds the intent of every request of which a byte may have been sent (G4);
- every acknowledged image is there, whole (G1), and what was acknowledged in one state is so in all later ones (G3);
- no file under a final name is in part (G8); and what the command had printed is true (G15);
- the key is in no file (G14), whatever its name.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import os
import random
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from runner.ledger import writer as product
from schemas.errors import JobError
from tests.attacks.crash import ledgers, tracing
from tests.attacks.crash.disk import Disk
from tests.attacks.crash.rows import CrashRow, Sort, write_manifest
from tests.attacks.crash.tracing import Op
from tests.attacks.crash.witness import Witness
from tests.attacks.faults.marker import write
from tests.support.canary import is_in, leaks

KEY_ENV = "POWER_API_KEY"
KEY = "sk-canary-6e0a93d7c41b5f28"
"""strace writes what was sent too, but as `\\x73\\x6b`, which is no form that is looked for."""
_REPOSITORY = Path(__file__).resolve().parents[3]
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Scenario:
    """Runs of one folder. kills: the moment (of `points`) and its occurrence at which each but the last is killed."""

    name: str
    kills: tuple[tuple[str, int], ...] = ()
    concurrency: int = 3


SCENARIOS = (
    Scenario("a whole run"),
    Scenario("killed once the folders were made", (("folder: after making", 4),), concurrency=1),
    Scenario("killed once an image was renamed", (("image: after rename", 1),)),
    Scenario("killed with an outcome not yet committed", (("outcome: before commit", 1),)),
    Scenario(
        "killed, and killed twice while recovering",
        (("image: before folder sync", 2), ("settlement: before commit", 1), ("settlement: after commit", 1)),
    ),
)


def three_rows() -> list[CrashRow]:
    """A base64 answer, one with two URLs, and one that ends in quarantine."""
    good, bad = Sort("good", 1, "succeeded"), Sort("bad", 1, "failed", write("body", kind="data_empty"))
    return [
        CrashRow(0, "one", "a fox in the snow", 1, "b64_json", good),
        CrashRow(1, "two", "an owl on a fence", 2, "url", good),
        CrashRow(2, "three", f"a hen {bad.marker}", 1, "b64_json", bad),
    ]


def recorded(work: Path, scenario: Scenario) -> list[Op]:
    """Carry out a scenario's runs in `work`, the last one to its end; their system calls, one run after the other."""
    work.mkdir()
    write_manifest(work / "manifest.csv", three_rows())
    ops: list[Op] = []
    environ = {"PATH": os.environ["PATH"], "HOME": str(work), KEY_ENV: KEY, "PYTHONPATH": str(_REPOSITORY)}
    with Witness(work.with_suffix(".journal")) as witness:
        fixed = ["run", "manifest.csv", "--out", "out", "--base-url", witness.base_url, "--json"]
        fixed += ["--api-key-env", KEY_ENV, "--progress", "none", "--concurrency", str(scenario.concurrency)]
        for number, (label, nth) in enumerate([*scenario.kills, ("", 0)]):
            log = work.with_suffix(f".{number}")
            command = [sys.executable, "-m", "tests.attacks.crash.trapped", label, str(nth), *fixed]
            code = tracing.record(command, cwd=work, environ=environ, log=log)
            if code != (-9 if label else 3):
                raise RuntimeError(f"run {number} of {work.name} ended with {code}, see {log}")
            ops += tracing.read(log, work)
    return ops


def sends(ops: list[Op]) -> dict[int, str]:
    """Number of the op with which a POST began -> its prompt."""
    begun: dict[str, int] = {}
    found: dict[int, str] = {}
    for number, op in enumerate(ops):
        if op.call != "sendto":
            continue
        body = op.data
        if body.startswith(b"POST "):
            begun[op.descriptor] = number
            body = body.partition(b"\r\n\r\n")[2]
        if body and op.descriptor in begun:
            found[begun.pop(op.descriptor)] = json.loads(body)["prompt"]
    if begun:
        raise RuntimeError(f"requests without a body: {begun}")
    return found


@dataclass(frozen=True, slots=True)
class Kept:
    """What a ledger says. known: prompts with an intent. images: (file name, sha256) of what is acknowledged."""

    known: frozenset[str] = frozenset()
    images: frozenset[tuple[str, str]] = frozenset()
    problem: str = ""


@dataclass
class Proof:
    """One scenario's. states: distinct ones that were judged."""

    ops: int = 0
    cuts: int = 0
    states: int = 0
    violations: dict[str, str] = field(default_factory=dict)


class Prover:
    """Replays the calls of one scenario and judges every state after each."""

    def __init__(self, work: Path, scratch: Path) -> None:
        self._disk = Disk(str(work))
        self._scratch = scratch
        self._sent: set[str] = set()
        self._acknowledged: frozenset[tuple[str, str]] = frozenset()
        self._printed = 0
        self._judged: set[bytes] = set()
        self._read = functools.lru_cache(maxsize=512)(self._read_ledger)
        self.proof = Proof()

    def prove(self, ops: list[Op]) -> Proof:
        """Judge all states of all cuts."""
        chance = random.Random(0)
        posts = sends(ops)
        for number, op in enumerate(ops):
            told = self._tell(op)
            changed = self._disk.apply(op)
            if number in posts:
                self._sent.add(posts[number])
            if not (changed or told or number in posts):
                continue
            self.proof.cuts += 1
            for kept in self._disk.choices(chance):
                self._judge(self._disk.state(kept), f"call {number} ({op.call} {' '.join(op.paths)})")
            self._acknowledged |= self._ledger(self._disk.state([])).images
        self.proof.ops = len(ops)
        return self.proof

    def _tell(self, op: Op) -> bool:
        """Note what the command printed: how many images it says are saved."""
        if op.call != "write" or op.descriptor != "1" or not op.data.startswith(b"{"):
            return False
        self._printed = json.loads(op.data)["images_saved"]
        return True

    def _judge(self, files: dict[str, bytes], where: str) -> None:
        owed = f"{len(self._sent)} {len(self._acknowledged)} {self._printed}".encode()
        digest = hashlib.sha256(owed)
        for name in sorted(files):
            digest.update(name.encode() + hashlib.sha256(files[name]).digest())
        if digest.digest() in self._judged:
            return
        self._judged.add(digest.digest())
        self.proof.states += 1
        for text in self._problems({name.removeprefix("out/"): data for name, data in files.items()}):
            self.proof.violations.setdefault(text, where)

    def _problems(self, files: dict[str, bytes]) -> Iterator[str]:
        kept = self._ledger(files)
        if kept.problem:
            yield f"the ledger does not open: {kept.problem}"
            return
        if missing := self._sent - kept.known:
            yield f"G4: sent without an intent: {sorted(missing)}"
        if lost := self._acknowledged - kept.images:
            yield f"G3: no longer acknowledged: {sorted(name for name, _ in lost)}"
        if len(kept.images) < self._printed:
            yield f"G15: {self._printed} images were printed as saved, {len(kept.images)} are"
        for name, digest in kept.images:
            if name not in files:
                yield f"G1: acknowledged image {name} is not there"
            elif hashlib.sha256(files[name]).hexdigest() != digest:
                yield f"G1: acknowledged image {name} is not whole"
        for name, data in files.items():
            if problem := _unreadable(name, data):
                yield f"G8: {name} {problem}"
            if _leaks(data):
                yield f"G14: key in {name}"

    def _ledger(self, files: dict[str, bytes]) -> Kept:
        parts = tuple(
            files.get(prefix + "ledger.sqlite" + end) for prefix in ("out/", "") for end in ledgers.SUFFIXES
        )
        images = any(name.removeprefix("out/").startswith("images/") for name in files)
        return self._read(tuple(part for part in parts[:3]) if parts[0] is not None else parts[3:], images)

    def _read_ledger(self, parts: tuple[bytes | None, ...], images: bool) -> Kept:
        """Open it as the next run would, then read it."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            out = Path(folder)
            for end, data in zip(ledgers.SUFFIXES, parts, strict=True):
                if data is not None:
                    (out / f"ledger.sqlite{end}").write_bytes(data)
            if images:
                (out / "images" / "0000").mkdir(parents=True)
                (out / "images" / "0000" / "some.png").touch()
            try:
                product.create_or_open(out, simulated=False).close()
                found = ledgers.read_in_place(out)
            except (JobError, sqlite3.DatabaseError) as error:
                return Kept(problem=str(error))
        known = frozenset(attempt.prompt for attempt in found.attempts)
        saved = frozenset((name, sha) for each in found.acknowledged for _, name, sha in each.images)
        return Kept(known, saved)


_TRIALS = (".trial", ".disk")
"""Names that are written to see whether a place takes a file; nobody reads them."""


@functools.lru_cache(maxsize=512)
def _unreadable(name: str, data: bytes) -> str:
    """Why a file under a final name cannot be used; "" when it can, or when its name is no final one."""
    if name.endswith(_TRIALS):
        return ""
    try:
        if name == "results.parquet":
            pq.read_table(io.BytesIO(data))
        elif name == "summary.json" or name.startswith("quarantine/"):
            json.loads(data)
        elif name == "job.toml":
            return "" if data.endswith(b"\n") else "is cut"
        elif name.startswith("images/"):
            return "" if data.endswith(b"IEND\xaeB`\x82") else "is cut"
    except (pa.ArrowException, ValueError) as error:
        return f"cannot be read: {error}"
    return ""


_leaks = functools.lru_cache(maxsize=512)(is_in)


def prove(work: Path, scenario: Scenario) -> Proof:
    """Record a scenario below `work` and judge it."""
    folder = work / scenario.name.replace(" ", "-").replace(",", "")
    ops = recorded(folder, scenario)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        return Prover(folder, Path(scratch)).prove(ops)


def main() -> int:
    """Prove every scenario; 1 when anything is violated."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--work", type=Path, help="an existing folder for the runs and their logs, which stay there"
    )
    chosen = options.parse_args()
    reason = tracing.unavailable()
    if reason:
        options.error(reason)
    bad = 0
    with tempfile.TemporaryDirectory() as work:
        for scenario in SCENARIOS:
            proof = prove(chosen.work or Path(work), scenario)
            bad += len(proof.violations)
            sys.stdout.write(
                f"{proof.states:6} states after {proof.cuts} of {proof.ops} calls, "
                f"{len(proof.violations)} violations: {scenario.name}\n"
            )
            for text, where in list(proof.violations.items())[:_SHOWN]:
                sys.stdout.write(f"        {text}; first after {where}\n")
        found = leaks(chosen.work or Path(work))
    sys.stdout.writelines(f"        G14: {text}\n" for text in found)
    return int(bool(bad or found))


if __name__ == "__main__":
    sys.exit(main())
