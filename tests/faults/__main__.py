"""`python -m tests.faults [FAULT ...]`: every fault against `imagemill run`; prints a table and `N of N`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.checks import check_all
from tests.faults.drive import MIXED_NAME, run_all
from tests.faults.judge import Verdict, judge_all

_SHOWN = 8


def table(verdicts: list[Verdict], *, verbose: bool) -> list[str]:
    """One line a fault that missed, or one a fault when verbose."""
    lines = []
    for verdict in verdicts:
        if verdict.problems or verbose:
            sign = "MISS" if verdict.problems else "ok"
            lines.append(f"{sign:4} {verdict.group:18} {verdict.name:28} {verdict.outcome}")
        lines += [f"       {problem}" for problem in verdict.problems[:_SHOWN]]
    return lines


def main() -> int:
    """Run, judge, print; 1 when anything misses."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "faults", nargs="*", help=f"faults to run; {MIXED_NAME} is the shared run; none: all"
    )
    options.add_argument(
        "--keep", type=Path, help="folder for manifests, outputs and journals (must not exist)"
    )
    options.add_argument("--quiet", action="store_true", help="list only what missed")
    chosen = options.parse_args()
    names = frozenset(chosen.faults)
    if unknown := names - FAULTS.keys() - {MIXED_NAME}:
        options.error(f"no such fault: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as temporary:
        runs = run_all(chosen.keep or Path(temporary), names)
        verdicts, checks = judge_all(runs), check_all(runs)
    lines = table(verdicts, verbose=not chosen.quiet)
    for name, problems in checks.items():
        lines.append(f"{'MISS' if problems else 'ok':4} check              {name}")
        lines += [f"       {problem}" for problem in problems[:_SHOWN]]
    good = sum(not verdict.problems for verdict in verdicts)
    passed = sum(not problems for problems in checks.values())
    lines.append(f"faults: {good} of {len(verdicts)}; checks: {passed} of {len(checks)}")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(good < len(verdicts) or passed < len(checks))


if __name__ == "__main__":
    sys.exit(main())
