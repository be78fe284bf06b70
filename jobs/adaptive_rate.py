"""Finding a pace that the service does not tell: refusals bound it from above, patience probes it from below.

The curve is like that of CUBIC congestion control, on the rate of sending instead of a window: after a refusal below
the best rate, back to it within a second, flat for a while, then ever faster upwards until the next refusal. So a
steady limit is met from just below, with one refusal in some hundred requests, and a raised one is found in seconds.
"""

from __future__ import annotations

from typing import NamedTuple

BACK_S = 1.0
"""Seconds to return to the best rate after a refusal."""
FLAT_REQUESTS = 150.0
"""Requests at the best rate before probing above it, so that refusals stay few among them."""
FLAT_WAITS = 20.0
"""Waits at the best rate before probing above it, so that little time is lost by waiting."""
FLAT_S = (2.0, 20.0)
"""Fewest and most seconds at the best rate."""
DIP = 0.9
"""What is sent of the best rate just after a refusal, so that the service's window gains some room."""
DOUBLING_S = 5.0
"""Seconds of probing after which the rate has doubled."""
BELOW = 0.985
"""What holds, of a rate that was refused after a calm."""
LONG_WAIT_S = 2.0
"""A wait that tells of a window much longer than a second."""
BURST_S = 0.5
"""Refusals this close together are one burst."""


class Pace(NamedTuple):
    """best: the highest rate (a second) that is believed to hold. low: the rate just after the refusal.

    since: when sending went on (seconds, any monotonic clock). admitted: requests admitted in all until then.
    flat_s: seconds at the best rate before a higher one is tried.
    """

    best: float
    low: float
    since: float
    admitted: int
    flat_s: float

    def rate(self, now: float) -> float:
        """Requests a second to send now."""
        passed = now - self.since
        if passed < BACK_S:
            return self.low + (self.best - self.low) * max(0.0, passed) / BACK_S
        probing = max(0.0, passed - BACK_S - self.flat_s) / DOUBLING_S
        return self.best * (1.0 + probing**2)


def first_pace(admitted: int, elapsed_s: float, sending: float, now: float, resumes: float) -> Pace:
    """The pace after the first refusal at `now`; sending goes on at `resumes`.

    sending: requests a second sent lately. A short wait tells of a short window (or a busy service): nearly that rate
    holds. A long wait tells of a long one: what was admitted, over all the time that it must last for.
    """
    average = max(1, admitted) / max(0.05, elapsed_s + resumes - now)
    rate = average if resumes - now > LONG_WAIT_S else max(average, 0.95 * sending)
    return _pace(rate, DIP * rate, now, resumes, admitted)


def refused(pace: Pace, now: float, resumes: float, admitted: int) -> Pace:
    """The pace after another refusal at `now`; sending goes on at `resumes`. Refusals while nobody sends are one burst.

    After a calm a little less than what was sent just now holds; after a calm that ends in a long wait, what was
    admitted on average since the last refusal, that wait included. Refusals close together mean a lower limit: each
    takes a tenth off the best rate and makes a deeper dip.
    """
    calm = now - pace.since
    if calm < BURST_S:
        return pace
    current = pace.rate(now)
    if calm <= BACK_S:
        best = 0.9 * pace.best
        return _pace(best, 0.8 * min(best, current), now, resumes, admitted)
    best = BELOW * current
    if resumes - now > LONG_WAIT_S:
        average = max(1, admitted - pace.admitted) / (calm + resumes - now)
        best = min(current, max(0.9 * pace.best, average))
    return _pace(best, DIP * best, now, resumes, admitted)


def _pace(best: float, low: float, now: float, resumes: float, admitted: int) -> Pace:
    flat_s = max(FLAT_REQUESTS / best, FLAT_WAITS * (resumes - now))
    return Pace(best, low, resumes, admitted, min(FLAT_S[1], max(FLAT_S[0], flat_s)))
