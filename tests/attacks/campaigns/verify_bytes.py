"""`python -m tests.attacks.campaigns.verify_bytes [N]`: N single-byte changes; how many of them `verify` finds."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.app import use_cases
from tests.support.commandline import AT_ONCE, CommandLine

ROWS = 20


@dataclass(frozen=True, slots=True)
class Change:
    """One byte. path: of the file, relative to OUT. xor: what it is changed by, 1 to 255."""

    path: str
    offset: int
    xor: int


def finished_job(command: CommandLine) -> Path:
    """A small finished job in the command's folder; its output folder."""
    rows = "".join(f"row {number},picture {number}\n" for number in range(ROWS))
    (command.cwd / "prompts.csv").write_text(f"id,prompt\n{rows}")
    options = ("--simulate", *AT_ONCE, "--size", "64x64", "--out", "out", "--json")
    ended = command("run", "prompts.csv", *options)
    assert ended.code == 0, ended.err
    return command.cwd / "out"


def drawn(out: Path, count: int, seed: int) -> Iterator[Change]:
    """Changes at random places: half of them in an image, half in the results table."""
    chance = random.Random(seed)
    images = sorted(path.relative_to(out).as_posix() for path in (out / "images").rglob("*.*"))
    for _ in range(count):
        path = chance.choice((chance.choice(images), "results.parquet"))
        yield Change(path, chance.randrange((out / path).stat().st_size), chance.randint(1, 255))


@contextmanager
def changed(out: Path, change: Change) -> Iterator[None]:
    """The change is in the file for as long as the block lasts."""
    path = out / change.path
    whole = path.read_bytes()
    bad = bytearray(whole)
    bad[change.offset] ^= change.xor
    path.write_bytes(bad)
    try:
        yield
    finally:
        path.write_bytes(whole)


def missed(out: Path, count: int, seed: int) -> list[Change]:
    """The changes, of so many drawn, after which `verify` does not name just the file that was changed."""
    found = []
    for change in drawn(out, count, seed):
        with changed(out, change):
            problems = use_cases.verify_folder(out).problems
        if [problem.path for problem in problems] != [change.path]:
            found.append(change)
    assert use_cases.verify_folder(out).problems == []
    return found


def main() -> int:
    """Change, verify, print; 1 when anything is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("changes", type=int, nargs="?", default=1000)
    options.add_argument("--seed", type=int, default=20261122)
    chosen = options.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lost = missed(finished_job(CommandLine(Path(folder))), chosen.changes, chosen.seed)
    lines = [f"MISS {change}" for change in lost]
    lines.append(f"verify found {chosen.changes - len(lost)} of {chosen.changes} single-byte changes")
    lines.append(f"seed {chosen.seed}, {time.monotonic() - started:.0f} s")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
