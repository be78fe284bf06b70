"""inside_long.py plan|results MANIFEST OUT TIMES: what the command does with a manifest, so many times, without the command.

Prints of each when it began and ended, and how many rows are done. The first one imports everything and gets its memory.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from runner.artifacts.atomic_files import Folder
from runner.cli.main import own_process
from runner.ledger.reader import LedgerReader
from runner.planning.plan import plan as planned
from runner.planning.prepare import PreparedJob
from runner.results.table import ResultsTable
from schemas.failures import RowStatus
from tests.bench.peers.making import prepared


def plan(ready: PreparedJob) -> int:
    """Plan; rows that are done."""
    return planned(ready).done


def results(ready: PreparedJob) -> int:
    """Write the table into a folder that is removed; rows that are done, each of one image."""
    target = Path(tempfile.mkdtemp(dir=ready.out.parent))
    try:
        with LedgerReader.open(ready.out) as ledger:
            table = ResultsTable(ready.row_stream, ledger, known=ledger.completed_rows(ready.job))
            counts = table.write(Folder(target), lambda _statements: None)
        return counts.by_status[RowStatus.SUCCEEDED.value]
    finally:
        shutil.rmtree(target)


if __name__ == "__main__":
    own_process()
    work, manifest, out = (
        {"plan": plan, "results": results}[sys.argv[1]],
        Path(sys.argv[2]),
        Path(sys.argv[3]),
    )
    for _ in range(int(sys.argv[4])):
        began = time.monotonic()
        done = work(prepared(manifest, out))
        told = {"began": began, "ended": time.monotonic(), "done": done}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
