"""`python -m tests.attacks.images --mutants 20000`: broken images through the check. Exits 1 for any violation."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator

from tests.attacks.images.campaign import Report, run

_SHOWN = 20


def lines(mutants: int, report: Report) -> Iterator[str]:
    """What there is to tell."""
    verdicts = (f"{name} {count:,}" for name, count in report.verdicts.most_common())
    yield f"{mutants:,} mutants: {', '.join(verdicts)}"
    yield f"slowest: mutant {report.slowest}, {report.slowest_s:.2f} s of CPU"
    yield f"refused though Pillow decodes them: {report.strict.total():,}"
    for why, count in report.strict.most_common(_SHOWN):
        yield f"  {count:>6,}  {why}"
    yield f"violations: {len(report.violations)}"
    for text in report.violations[:_SHOWN]:
        yield f"  {text}"


def main() -> int:
    """Run the campaign and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.images")
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slow", type=int, default=100, help="so many that may take long get a process")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's, when it is asked whether it agrees
    report = run(arguments.mutants, seed=arguments.seed, slow=arguments.slow)
    for text in lines(arguments.mutants, report):
        sys.stdout.write(f"{text}\n")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
