"""inside.py BASE_URL MANIFEST IN_FLIGHT OUT: imagemill's Python call, with a look at its event loop and its ledger's thread.

Prints the 99th percentile of the loop's lag, and the share of the CPU that the thread named `ledger` had.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import threading
import time

import runner
from tests.bench.peers.clients.plain_aiohttp import EVERY_S, p99_ms

LEDGER = "ledger"


class Watched:
    """What is seen while the run goes on. Counted from the ledger's start, when the first requests leave."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.ledger_s = 0.0
        self.process_s = 0.0
        self._begun_s: float | None = None

    async def look(self) -> None:
        """Go on looking until cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(EVERY_S)
            late = time.perf_counter() - before - EVERY_S
            thread = next((each for each in threading.enumerate() if each.name == LEDGER), None)
            if thread is None or thread.ident is None:
                continue
            if self._begun_s is None:
                self._begun_s = time.process_time()
            self.lags.append(late)
            try:
                self.ledger_s = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            except OSError:
                continue
            self.process_s = time.process_time() - self._begun_s


async def main(base_url: str, manifest: str, in_flight: int, out: str) -> Watched:
    """One run."""
    watched = Watched()
    looking = asyncio.create_task(watched.look())
    summary = await runner.run_async(manifest, base_url=base_url, concurrency=in_flight, out=out)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    watched.process_s += children.ru_utime + children.ru_stime
    looking.cancel()
    if summary.exit_code:
        sys.exit(f"imagemill ended with {summary.exit_code}")
    return watched


if __name__ == "__main__":
    seen = asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
    share = seen.ledger_s / seen.process_s if seen.process_s else 0.0
    document = {"lag_p99_ms": p99_ms(seen.lags), "ledger_share": share}
    sys.stdout.write(json.dumps(document) + "\n")
