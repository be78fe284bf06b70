"""`python -m tests.attacks.crash --kills N [--seed S]`: kills, signals, pairs of runners; prints what broke."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.attacks.crash import campaign, pairs, stops
from tests.attacks.crash.campaign import Aim, Tally
from tests.attacks.crash.forkserver import ForkServer
from tests.attacks.crash.jobs import Ground
from tests.attacks.crash.points import PARTS
from tests.attacks.crash.troubles import TROUBLES
from tests.attacks.crash.witness import Witness
from tests.support.canary import leaks

_SHOWN = 20


def kill_lines(tally: Tally) -> Iterator[str]:
    """The table of a kill campaign."""
    for part, labels in PARTS.items():
        for label in labels:
            if label in tally.kills:
                yield f"{tally.kills[label]:6}  {part:9} {label}"
    for label in (campaign.AT_RANDOM, campaign.REAL, *TROUBLES):
        if label in tally.kills:
            yield f"{tally.kills[label]:6}  {label}"
    yield f"{tally.jobs} jobs, {tally.rows} rows; in flight at a kill: {tally.max_in_flight} at most"
    yield f"rows in flight at a kill: {tally.parked} parked, {tally.adopted} succeeded all the same"


def attack(ground: Ground, chosen: argparse.Namespace) -> tuple[list[str], list[str]]:
    """What was asked for: lines to print and violations."""
    lines: list[str] = []
    violations: list[str] = []
    if chosen.kills:
        aim = Aim(
            points=not chosen.random, random=not chosen.points, real=chosen.real, troubles=chosen.troubles
        )
        tally = campaign.run(ground, chosen.kills, seed=chosen.seed, aim=aim, parallel=chosen.parallel)
        violations += tally.violations
        lines += [*kill_lines(tally), f"{tally.total} kills, {len(tally.violations)} violations"]
    if chosen.sigterm:
        drained = stops.drained(ground, chosen.sigterm, chosen.seed)
        cut = stops.cut(ground, max(1, chosen.sigterm // 10), chosen.seed)
        violations += drained.violations + cut.violations
        lines += [
            f"{chosen.sigterm} SIGTERM: {drained.parked} rows parked, exit codes {dict(drained.codes)}, "
            f"{len(drained.violations)} violations",
            f"{cut.codes.total()} second signals: {cut.parked} rows parked, all in flight; exit codes "
            f"{dict(cut.codes)}; slowest end {cut.slowest_s:.2f} s; {len(cut.violations)} violations",
        ]
    if chosen.two_runners:
        two = pairs.together(ground, chosen.two_runners, chosen.seed)
        violations += two.violations
        lines.append(
            f"{chosen.two_runners} pairs: senders {dict(two.senders)}, exit codes {dict(two.codes)}, "
            f"{len(two.violations)} violations"
        )
    return lines, violations


def main() -> int:
    """Attack, print; 1 when anything is violated."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=0, metavar="N", help="kill -9 so often")
    options.add_argument("--points", action="store_true", help="only at named points")
    options.add_argument("--random", action="store_true", help="only at random times")
    options.add_argument("--real", type=float, default=0.01, help="share of kills of real processes")
    options.add_argument(
        "--troubles", type=float, default=0.2, help="share of runs with a trouble before the kill"
    )
    options.add_argument("--sigterm", type=int, default=0, metavar="N", help="SIGTERM so often")
    options.add_argument("--two-runners", type=int, default=0, metavar="N", help="so many pairs of runners")
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--parallel", type=int, default=2, help="jobs under attack at once")
    options.add_argument("--work", type=Path, help="folder for the jobs; those with a violation are kept")
    chosen = options.parse_args()
    work = Path(tempfile.mkdtemp(prefix="crash-", dir=chosen.work))
    started = time.monotonic()
    (logs := work / "logs").mkdir()
    with ForkServer() as server, Witness(work / "journal.jsonl") as witness:
        lines, violations = attack(Ground(work, logs, server, witness), chosen)
    violations += [f"G14: {text}" for text in leaks(work)]
    lines += [f"VIOLATION {text}" for text in violations[:_SHOWN]]
    lines.append(f"seed {chosen.seed}, {time.monotonic() - started:.0f} s")
    sys.stdout.write("\n".join(lines) + "\n")
    if violations:
        sys.stdout.write(f"kept: {work}\n")
    else:
        shutil.rmtree(work)
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
