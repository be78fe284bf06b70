"""`python -m tests.bench peers|pacing [NAME ...]`: what the issues ask to be shown, each figure beside its bar."""

from __future__ import annotations

import sys

from tests.bench import pacing
from tests.bench.peers import table

BENCHES = {"peers": table.main, "pacing": pacing.main}


def main(arguments: list[str]) -> int:
    """Run one of the benches; without a name, the one beside the peers."""
    name, rest = (
        (arguments[0], arguments[1:]) if arguments[:1] and arguments[0] in BENCHES else ("peers", arguments)
    )
    return BENCHES[name](rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
