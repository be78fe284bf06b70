"""Counts the rows of a run beside it, in a thread: the first request does not wait for the end of a long manifest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from jobs.cost import Prices, estimate
from runner.manifest.records import ManifestError
from runner.planning.source import PendingRows, Tally
from schemas.request import ImageRequest

T = TypeVar("T")

REST = 1.0
"""Seconds of rest for each second of work: the run's own thread has the interpreter at least half of the time."""
_AT_ONCE_S = 0.5
"""Seconds of work before the first rest, in which some 100,000 rows are counted: who looks sees the total at once."""
_MOST_KINDS = 10_000


class Worth(NamedTuple):
    """USD that requests cost by estimate, at best and at worst."""

    low: float = 0.0
    high: float = 0.0


@dataclass
class RowCount:
    """All rows of a run by a pass of its own over the manifest.

    tally: empty until all are counted, then `complete`. to_send: what the images to send cost; None without prices.
    """

    rows: PendingRows
    prices: Prices
    tally: Tally = field(default_factory=Tally)
    to_send: Worth | None = field(default_factory=Worth)

    def count(self, stop: threading.Event) -> None:
        """Read to the end, or until `stop`. What cannot be read to its end is not counted: the run tells of it."""
        valuer, worth = Valuer(self.prices), self.to_send
        rows = self.rows.afresh()
        tally = Tally() + rows.passed_over
        began_s = spent_s = time.thread_time()
        try:
            for found, requests in _counted(rows):
                tally += found
                worth = None if worth is None else valuer.added(worth, requests)
                now_s = time.thread_time()
                if stop.wait(REST * (now_s - spent_s) if now_s - began_s > _AT_ONCE_S else 0.0):
                    return
                spent_s = now_s
        except (ManifestError, OSError):
            return
        tally.complete = True
        self.to_send, self.tally = worth, tally


def _counted(rows: PendingRows) -> Iterator[tuple[Tally, Iterable[ImageRequest]]]:
    """Batch by batch, its counts and the requests to send."""
    if not rows.sends_all:
        while (found := rows.read()) is not None:
            works, tally = found
            yield tally, (work.row.request for work in works)
        return
    sizes = _ByParams(lambda request: request.n)
    for requests in rows.row_stream.requests():
        sendable = [request for request in requests if request is not None]
        invalid = len(requests) - len(sendable)
        images = sum(map(sizes.of, sendable))
        yield Tally(rows=len(requests), images=images + invalid, invalid=invalid), sendable


class _ByParams(Generic[T]):
    """Finds something for each set of parameters once: most rows of a job share theirs, as one object."""

    def __init__(self, find: Callable[[ImageRequest], T]) -> None:
        self._find = find
        self._known: dict[int, tuple[object, T]] = {}

    def of(self, request: ImageRequest) -> T:
        """What was found for these parameters."""
        known = self._known.get(id(request.params))
        if known is None:
            if len(self._known) >= _MOST_KINDS:
                self._known.clear()
            known = self._known[id(request.params)] = (request.params, self._find(request))
        return known[1]


class Valuer:
    """Estimates many requests, as `jobs.cost.estimate` does one, in a tenth of its time."""

    def __init__(self, prices: Prices) -> None:
        by_token = prices.table if prices.per_image is None else None
        self._token_usd = 0.0 if by_token is None else by_token.input_per_token
        self._without_prompt = _ByParams(lambda request: estimate(request._replace(prompt=""), prices))

    def added(self, worth: Worth, requests: Iterable[ImageRequest]) -> Worth | None:
        """The sum with these requests; None where no price is known for one."""
        low, high = worth
        for request in requests:
            best, worst = self._without_prompt.of(request)
            if best is None or worst is None:
                return None
            prompt = request.prompt
            most = len(prompt) if prompt.isascii() else len(prompt.encode("utf-8", "surrogatepass"))
            low += best + len(prompt) / 4 * self._token_usd
            high += worst + most * self._token_usd
        return Worth(low, high)
