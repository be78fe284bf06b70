"""`python -m tests.bench.pacing [NAME ...]`: what issue 4 asks to be shown, each figure beside its bar.

Every run is judged by the service's account, not by the runner's. A busy machine lowers the rates: repeat the figure.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from tests.bench import budget, forecast, outages, sharing, told, untold, virtual
from tests.bench.figures import Figure, show

BENCHES: dict[str, Callable[[], Iterable[Figure]]] = {
    "whole": told.whole_runs,
    "pacer": told.pacer_alone,
    "minute": told.a_minute,
    "virtual": virtual.told,
    "probing": virtual.untold,
    "steady": untold.steady,
    "halved": untold.halved,
    "outage": outages.outages,
    "down": outages.stays_down,
    "sharing": sharing.shared_pacers,
    "shared": sharing.shared,
    "plan": forecast.forecasts,
    "budget": budget.budget,
}


def main(names: list[str]) -> int:
    """Run the named benches, or all; 1 when a bar is missed, 2 for an unknown name."""
    unknown = set(names) - set(BENCHES)
    if unknown:
        sys.stderr.write(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}\n")
        return 2
    missed = 0
    for name in names or BENCHES:
        sys.stdout.write(f"--- {name}\n")
        for figure in BENCHES[name]():
            show(figure)
            missed += not figure.met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
