"""`python -m tests.attacks.crash.trapped LABEL NTH ARGUMENT...`: imagemill, killed when it passes a moment the nth time.

With an empty LABEL it lives.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runner.cli.main import main
from tests.attacks.crash.trap import Trap

if __name__ == "__main__":
    if sys.argv[1]:
        Trap({sys.argv[1]: int(sys.argv[2])}, Path(os.devnull)).set()
    sys.exit(main(sys.argv[3:]))
