"""`python -m tests.attacks.answers --documents N --headers N --seed S`: prints what the answers came to, and problems."""

from __future__ import annotations

import argparse
import sys
import time

from tests.attacks.answers.campaign import campaign


def main() -> int:
    """Play, print; 1 when anything is not as it must be."""
    options = argparse.ArgumentParser(prog="python -m tests.attacks.answers", description=__doc__)
    options.add_argument("--documents", type=int, default=20_000)
    options.add_argument("--headers", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    started = time.monotonic()
    played = campaign(chosen.documents, chosen.headers, chosen.seed)
    lines = [
        *played.problems[:20],
        ", ".join(f"{kind} {count}" for kind, count in played.ends.most_common()),
        f"{chosen.documents:,} documents, {chosen.headers:,} headers in {time.monotonic() - started:.0f} s, "
        f"slowest {played.slowest_s:.2f} s; problems: {len(played.problems)}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if played.problems else 0


if __name__ == "__main__":
    sys.exit(main())
