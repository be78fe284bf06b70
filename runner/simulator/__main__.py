"""`python -m runner.simulator`."""

from __future__ import annotations

import sys

from runner.simulator.server import main

if __name__ == "__main__":
    sys.exit(main())
