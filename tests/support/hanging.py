"""`imagemill`, one thread of which hangs for ever: `python -m tests.support.hanging MOMENT COUNT ARGUMENT…`.

With `-c PROGRAM ARGUMENT…` it is a Python program instead.

It waits in a system call, as it would for a disk that does not answer. MOMENT: a crash point of the product, or `resolving`
a name. It hangs there the COUNTth time, and leaves a file `hangs` in the current folder.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from runner.cli.main import script
from runner.process import crash_points

RESOLVING = "resolving"
MARK = "hangs"


def main(moment: str, count: int) -> None:
    """Run the command or the program in this process."""
    times = itertools.count(1)

    def happened(name: str) -> None:
        if name == moment and next(times) == count:
            Path(MARK).touch()
            os.read(os.pipe()[0], 1)

    def audited(event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.getaddrinfo" and arguments[0] == "slow.example":
            happened(RESOLVING)

    crash_points.listen(happened)
    sys.addaudithook(audited)
    if sys.argv[1] == "-c":
        program = sys.argv[2]
        del sys.argv[1:3]
        exec(program, {"__name__": "__main__"})
    else:
        script()


if __name__ == "__main__":
    _, chosen, number = sys.argv[:3]
    del sys.argv[1:3]
    main(chosen, int(number))
