"""`python -m tests.attacks.dialects [--rows N]`: a manifest through every dialect; prints a matrix.

`python -m tests.attacks.dialects --kills N`: kill -9 at random moments of runs of tasks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.attacks.dialects import kills, matrix
from tests.attacks.dialects.cells import CELLS, ground
from tests.attacks.dialects.ways import WAYS

_SHOWN = 20


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _attack(folder: Path, chosen: argparse.Namespace) -> list[str]:
    figures = kills.campaign(folder, chosen.kills, chosen.rows or 500, chosen.seed)
    for text in figures.lines():
        _tell(text)
    return figures.violations


def _matrix(folder: Path, chosen: argparse.Namespace) -> list[str]:
    ways = [way for way in WAYS if not chosen.dialects or way.speaks in chosen.dialects]
    place = ground(folder, chosen.rows or 200)
    for text in matrix.heading():
        _tell(text)
    failures = matrix.failures(matrix.made(place, ways, parallel=chosen.parallel, tell=_tell))
    _tell(
        f"{len(ways)} ways, {len(CELLS)} columns, {len(failures)} cells that differ; {place.rows} rows each"
    )
    return failures


def main() -> int:
    """Rehearse or attack, print; 1 when anything differs or is violated."""
    options = argparse.ArgumentParser(
        prog="python -m tests.attacks.dialects",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    options.add_argument("dialects", nargs="*", help="which of the simulator's; none: all")
    options.add_argument("--rows", type=int, help="rows of a manifest (200; with --kills 500)")
    options.add_argument("--parallel", type=int, default=2, help="dialects at once")
    options.add_argument("--kills", type=int, default=0, metavar="N", help="kill -9 so often instead")
    options.add_argument("--seed", type=int, default=int(time.time()), help="of the kills' moments")
    chosen = options.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dialects-") as folder:
        problems = (_attack if chosen.kills else _matrix)(Path(folder), chosen)
    for problem in problems[:_SHOWN]:
        _tell(f"WRONG {problem}")
    seed = f"seed {chosen.seed}, " if chosen.kills else ""
    _tell(f"{seed}{time.monotonic() - started:.0f} s")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
