"""`python -m tests.attacks.mutants [WORD ...]`: plants each bug (whose name holds a WORD); prints which tests catch it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.mutants.bugs import BUGS, Bug
from tests.attacks.mutants.laboratory import CHECKOUT, Laboratory, planted

_SHOWN = 2


@dataclass(frozen=True, slots=True)
class Catch:
    """What became of a bug. by: tests that fail with it and pass without; broken: how many could not be carried out."""

    bug: Bug
    by: tuple[str, ...]
    broken: int


def silent(bugs: Sequence[Bug], passed: Collection[str]) -> list[str]:
    """The tests of these bugs that can catch nothing: not one of them passes without the bug, or it was not even run."""
    named = dict.fromkeys(test for bug in bugs for test in bug.tests)
    return [test for test in named if not any(each.startswith(test) for each in passed)]


def hunt(bugs: Sequence[Bug], folder: Path) -> list[Catch]:
    """Ask the bugs' tests without any bug, then with one at a time. folder: an empty one.

    Raises ValueError when a file or test that a bug names does not pass without it.
    """
    for bug in bugs:
        planted(CHECKOUT, bug)
    laboratory = Laboratory(folder)
    sound = laboratory.ask(tuple(sorted({test for bug in bugs for test in bug.tests})), all_of_them=True)
    if mute := silent(bugs, sound.passed):
        raise ValueError(f"nothing in these passes in the copy without a bug: {', '.join(mute)}")
    catches = []
    for bug in bugs:
        with laboratory.with_bug(bug):
            outcome = laboratory.ask(bug.tests)
        catches.append(Catch(bug, tuple(sorted(outcome.failed & sound.passed)), len(outcome.broken)))
    return catches


def lines(catches: Sequence[Catch]) -> list[str]:
    """The table: a bug, then the tests that caught it."""
    told = []
    for catch in catches:
        told.append(f"{'caught' if catch.by else 'MISSED':7} {catch.bug.name} ({catch.bug.path})")
        told += [f"          {test}" for test in catch.by[:_SHOWN]]
        if len(catch.by) > _SHOWN:
            told.append(f"          and {len(catch.by) - _SHOWN} more at least")
        if catch.broken and not catch.by:
            told.append(f"          {catch.broken} tests could not be carried out")
    caught = sum(bool(catch.by) for catch in catches)
    return [*told, f"bugs caught: {caught} of {len(catches)}"]


def main() -> int:
    """Hunt, print; 1 when a bug is missed."""
    options = argparse.ArgumentParser(prog="python -m tests.attacks.mutants", description=__doc__)
    options.add_argument("words", nargs="*", help="only bugs whose name has one of these words")
    words = [word.lower() for word in options.parse_args().words]
    chosen = [bug for bug in BUGS if not words or any(word in bug.name.lower() for word in words)]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        catches = hunt(chosen, Path(folder))
    told = [*lines(catches), f"{time.monotonic() - started:.0f} s"]
    sys.stdout.write("\n".join(told) + "\n")
    return int(not all(catch.by for catch in catches))


if __name__ == "__main__":
    sys.exit(main())
