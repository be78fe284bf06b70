"""The order of steps for one attempt, read from the system calls of the real command (G1, G4: see GUARANTEES.md).

Intent in the ledger, synced; then the request. Image written, synced, renamed, its folder synced; then the outcome in the
ledger, synced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attacks.crash import tracing
from tests.attacks.crash.tracing import Op
from tests.support.canary import WITH_CANARY
from tests.support.commandline import COMMAND, CommandLine, Service

PROMPTS = {"ant": "an ant on a leaf", "bee": "a bee in a bell", "cat": "a cat with a hat"}
_SYNCS = ("fsync", "fdatasync")


@dataclass(frozen=True, slots=True)
class Trace:
    """The calls of one run, as they returned. out: its output folder."""

    ops: list[Op]
    out: str

    def first(self, *calls: str, after: int = -1, data: bytes = b"", path: str = "") -> int:
        """Number of the first call of these after that one, on this path below OUT, with this among its bytes."""
        for number, op in enumerate(self.ops):
            there = not path or any(each.startswith(f"{self.out}/{path}") for each in op.paths)
            if number > after and op.call in calls and there and data in op.data:
                return number
        raise AssertionError(f"no {calls} with {data!r} on {path!r} after call {after}")

    def in_ledger(self, data: bytes) -> tuple[int, int]:
        """Numbers of the calls that first write this to the ledger's log, and that sync it then."""
        written = self.first("pwrite64", path="ledger.sqlite-wal", data=data)
        return written, self.first(*_SYNCS, after=written, path="ledger.sqlite-wal")

    def sent(self, prompt: str) -> int:
        """Number of the call with which the request for this prompt began to leave."""
        body = self.first("sendto", data=prompt.encode())
        heads = [number for number in range(body + 1) if self.ops[number].data.startswith(b"POST ")]
        return max(heads)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trace]:
    if (reason := tracing.unavailable()) is not None:
        pytest.skip(reason)
    command = CommandLine(tmp_path_factory.mktemp("order"))
    rows = "".join(f"{name},{prompt}\n" for name, prompt in PROMPTS.items())
    (command.cwd / "prompts.csv").write_text(f"id,prompt\n{rows}")
    with Service(command, "--latency", "0") as service:
        run = ["run", "prompts.csv", "--base-url", service.base_url, "--out", "out", "--size", "64x64"]
        environ = command.environ(**WITH_CANARY)
        log = command.cwd / "calls"
        assert tracing.record([COMMAND, *run, "-q"], cwd=command.cwd, environ=environ, log=log) == 0
    yield Trace(tracing.read(log, command.cwd), str(command.cwd / "out"))
    log.unlink()


@pytest.mark.parametrize("name", PROMPTS)
def test_g4_no_request_leaves_before_its_intent_is_durable(trace: Trace, name: str) -> None:
    written, synced = trace.in_ledger(PROMPTS[name].encode())
    assert written < synced < trace.sent(PROMPTS[name])


@pytest.mark.parametrize("name", PROMPTS)
def test_g1_an_outcome_is_recorded_after_its_image_and_its_name_are_durable(trace: Trace, name: str) -> None:
    image = f"images/0000/{name}-"
    made = trace.first("openat", path=f".tmp/{name}-")
    written = trace.first("write", after=made, path=f".tmp/{name}-")
    synced = trace.first(*_SYNCS, after=written, path=f".tmp/{name}-")
    renamed = trace.first("rename", "renameat", "renameat2", after=synced, path=image)
    folder = trace.first("fsync", after=renamed, path="images/0000")
    recorded, _ = trace.in_ledger(image.encode())
    assert trace.sent(PROMPTS[name]) < made
    assert folder < recorded
    assert not [op for op in trace.ops[synced:] if op.call == "write" and f".tmp/{name}-" in op.paths[0]]


def test_the_table_is_announced_in_the_ledger_before_it_is_published(trace: Trace) -> None:
    renamed = trace.first("rename", "renameat", "renameat2", path="results.parquet")
    digest = hashlib.sha256(Path(trace.out, "results.parquet").read_bytes()).digest()
    _, announced = trace.in_ledger(digest)
    synced = trace.first(*_SYNCS, path=".tmp/results.parquet")
    assert synced < announced < renamed
    assert [op for op in trace.ops[renamed:] if op.call == "fsync" and op.paths == (trace.out,)]
