"""`python -m tests.attacks.crash.ext4 --cuts N`: a real ext4 on a loop device, cut off by FS_IOC_SHUTDOWN at random moments.

The file system forgets at once everything that it has not yet written, as in a power cut; its journal is replayed when
it is mounted again. Needs root and loop devices.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import ExitCode
from tests.attacks.crash.campaign import chance_of, finish
from tests.attacks.crash.forkserver import ForkServer
from tests.attacks.crash.jobs import HANG_S, Ground, Job
from tests.attacks.crash.witness import Witness
from tests.support.canary import leaks

_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSH = 2
"""FS_IOC_SHUTDOWN and FS_SHUTDOWN_FLAGS_NOLOGFLUSH of the kernel's fs.h and ext4.h."""
_SIZE_BYTES = 256 * 2**20
_CUTS_A_JOB = 4
_NOTICED_S = 0.2
_OPTIONS = "loop,commit=300"
"""Nothing is written but what is synced, for longer than a run takes."""


class NotHere(Exception):
    """This machine does not allow such a file system; the message says why."""


class LoopDisk:
    """A small ext4 in a file, mounted at `top`."""

    def __init__(self, folder: Path) -> None:
        self.top = folder / "mounted"
        self.top.mkdir()
        self._image = folder / "image"
        with self._image.open("wb") as file:
            file.truncate(_SIZE_BYTES)
        _command("mkfs.ext4", "-q", "-F", str(self._image))
        self.mount()

    def mount(self) -> None:
        """Mount it, replaying its journal. Raises NotHere."""
        _command("mount", "-o", _OPTIONS, str(self._image), str(self.top))

    def unmount(self) -> None:
        """Raises NotHere when something still uses it."""
        _command("umount", str(self.top))

    def settle(self) -> None:
        """Write out everything."""
        _command("sync", "--file-system", str(self.top))

    def cut(self) -> None:
        """Forget what is not on disk, and refuse everything from now on. Raises OSError where that is unknown."""
        top = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(top, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
        finally:
            os.close(top)


def _command(*words: str) -> None:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    if shutil.which(words[0], path=path) is None:
        raise NotHere(f"there is no {words[0]}")
    ran = subprocess.run(words, env={"PATH": path}, capture_output=True, check=False)
    if ran.returncode != 0:
        raise NotHere(f"{words[0]}: {ran.stderr.decode(errors='replace').strip()[:200]}")


@contextmanager
def disk(folder: Path) -> Iterator[LoopDisk]:
    """A mounted disk for the time of the block. Raises NotHere."""
    made = LoopDisk(folder)
    try:
        yield made
    finally:
        made.unmount()


@dataclass
class Cuts:
    """What came of it. codes: exit codes of the runs that were cut off, negative for a signal."""

    total: int = 0
    in_flight: int = 0
    parked: int = 0
    codes: Counter[int | None] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def attack(ground: Ground, disk: LoopDisk, cuts: int, seed: int) -> Cuts:
    """Jobs on the disk, cut off a few times each, then finished and repeated."""
    done = Cuts()
    for number in range(10**9):
        if done.total >= cuts:
            return done
        chance = chance_of(seed, number)
        job = Job(ground, f"power-{seed}-{number}", chance, count=chance.randint(16, 40))
        disk.settle()
        problems: list[str] = []
        for _ in range(_CUTS_A_JOB):
            problems += _cut_off(job, disk, chance, done)
        problems += finish(job)
        prompts = {row.position: row.prompt for row in job.rows}
        parked = {record["row"] for record in job.judge.records() if record["status"] == "parked"}
        done.parked += sum(prompts[row] in job.judge.interrupted for row in parked)
        done.in_flight = max(done.in_flight, job.judge.max_in_flight)
        done.violations += [f"{job.name}: {text}" for text in problems]
        shutil.rmtree(job.folder)
    return done


def _cut_off(job: Job, disk: LoopDisk, chance: random.Random, done: Cuts) -> list[str]:
    """One power cut in a run, which is stopped first: the kernel tells syncs that race with the ioctl that all is well."""
    child = job.start()
    time.sleep(chance.uniform(0.0, 0.1 + 0.02 * len(job.rows) / job.concurrency))
    child.freeze()
    disk.cut()
    child.signal(signal.SIGKILL)
    code = child.wait(HANG_S)
    disk.unmount()
    disk.mount()
    done.total += 1
    done.codes[code] += 1
    return job.judge.after_kill(job.history())


def outlive(ground: Ground, disk: LoopDisk, times: int, seed: int) -> Cuts:
    """Runs whose disk dies under them and that are left to find out: they send nothing more and end with exit 9."""
    done = Cuts()
    for number in range(times):
        chance = chance_of(seed, number)
        job = Job(ground, f"dying-{seed}-{number}", chance, count=40)
        disk.settle()
        child = job.start(options=("--drain", "1s"))
        job.await_requests(chance.randint(1, 10))
        disk.cut()
        dead = time.monotonic() + _NOTICED_S
        code = child.wait(HANG_S)
        done.total += 1
        done.codes[code] += 1
        late = [event for event in job.history().all("request") if event["time"] > dead]
        if late:
            done.violations.append(f"{job.name}: {len(late)} requests after the disk had died")
        if code not in (0, 3, ExitCode.LOCAL):
            done.violations.append(f"{job.name}: G15: exit code {code}")
        disk.unmount()
        disk.mount()
        done.violations += [f"{job.name}: {text}" for text in job.leaks()]
        shutil.rmtree(job.folder)
    return done


def main() -> int:
    """Cut, judge, print; 1 when anything is violated."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cuts", type=int, default=100)
    options.add_argument("--seed", type=int, default=int(time.time()))
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        try:
            with disk(folder) as made, ForkServer() as server, Witness(folder / "journal.jsonl") as witness:
                ground = Ground(made.top, folder, server, witness)
                done = attack(ground, made, chosen.cuts, chosen.seed)
                died = outlive(ground, made, max(1, chosen.cuts // 10), chosen.seed)
            died.violations += [f"G14: {text}" for text in leaks(folder)]
        except NotHere as reason:
            options.error(str(reason))
    violations = done.violations + died.violations
    lines = [
        f"{done.total} power cuts of a real ext4, {len(done.violations)} violations; {done.in_flight} in flight at most, "
        f"{done.parked} rows parked",
        f"{died.total} runs that outlived their disk, {len(died.violations)} violations; exit codes {dict(died.codes)}",
        *(f"VIOLATION {text}" for text in violations),
        f"seed {chosen.seed}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
