"""`python -m tests.attacks.faults [FAULT ...]`: every fault against `imagemill run`; prints a table and `N of N`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.attacks.faults.catalogue import FAULTS, MIXED
from tests.attacks.faults.checks import check_all
from tests.attacks.faults.drive import MIXED_NAME, Ran, run_all
from tests.attacks.faults.judge import Verdict, judge_all

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


def last_words(runs: list[Ran]) -> list[str]:
    """Why no run came to a summary: the end of each one's stderr."""
    return [f"{run.name}: {run.stderr[-500:].decode('utf-8', 'replace').strip()}" for run in runs]


def chosen_names(faults: list[str], without: list[str]) -> frozenset[str]:
    """The faults to run."""
    wanted = set(faults) & FAULTS.keys() if faults else set(FAULTS)
    if MIXED_NAME in faults:
        wanted |= {fault.name for fault in MIXED}
    return frozenset(wanted - set(without))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m tests.attacks.faults", description=__doc__)
    options.add_argument("faults", nargs="*", help=f"which; {MIXED_NAME}: all that share a run; none: all")
    options.add_argument("--without", nargs="+", default=[], metavar="FAULT", help="faults to leave out")
    options.add_argument("--keep", type=Path, help="new folder for manifests, outputs and journals")
    options.add_argument("--quiet", action="store_true", help="list only what missed")
    return options


def main() -> int:
    """Run, judge, print; 1 when anything misses."""
    options = parser()
    chosen = options.parse_args()
    named = {*chosen.faults, *chosen.without} - {MIXED_NAME}
    if unknown := named - FAULTS.keys():
        options.error(f"no such fault: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as temporary:
        runs = run_all(chosen.keep or Path(temporary), chosen_names(chosen.faults, chosen.without))
        verdicts, checks = judge_all(runs), check_all(runs)
    lines = (
        table(verdicts, verbose=not chosen.quiet)
        if any("rows" in run.summary for run in runs)
        else last_words(runs)
    )
    for name, problems in checks.items():
        lines.append(f"{'MISS' if problems else 'ok':4} check              {name}")
        lines += [f"       {problem}" for problem in problems[:_SHOWN]]
    good = sum(not verdict.problems for verdict in verdicts)
    passed = sum(not problems for problems in checks.values())
    peak = max(run.peak_bytes for run in runs) >> 20
    lines.append(f"most memory of a run: {peak} MiB")
    lines.append(f"faults: {good} of {len(verdicts)}; checks: {passed} of {len(checks)}")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(good < len(verdicts) or passed < len(checks))


if __name__ == "__main__":
    sys.exit(main())
