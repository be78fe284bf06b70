"""Finding the rate of a service that states no limit: a refusal is an upper bound, a calm is a reason to try more.

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
"""Fraction of the best rate that is sent just after a refusal, so that the service's window drains a little."""
DOUBLING_S = 5.0
"""Seconds of probing after which the rate has doubled."""
BELOW = 0.985
"""Fraction of a rate that is believed to hold, once that rate was refused after a calm."""
LONG_WAIT_S = 2.0
"""The service's window is taken to be much longer than a second when it asks for a longer wait than this."""
BURST_S = 0.5
"""Refusals this close together are one burst."""


class AdaptiveRate(NamedTuple):
    """The rate of one run after its last refusal, as a function of time.

    best: the highest rate (a second) that is believed to hold. low: the rate just after the refusal.
    since: when sending resumed (seconds, any monotonic clock). admitted: requests admitted until then.
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


def after_first_refusal(
    admitted: int, elapsed_s: float, sending: float, now: float, resumes: float
) -> AdaptiveRate:
    """The rate after the first refusal, at `now`; sending resumes at `resumes`.

    sending: requests a second, recently. After a short wait the window is short (or the service busy), and nearly that
    rate holds. After a long wait the window is long: the rate is what was admitted, divided by the whole time it covers.
    """
    average = max(1, admitted) / max(0.05, elapsed_s + resumes - now)
    rate = average if resumes - now > LONG_WAIT_S else max(average, 0.95 * sending)
    return _rate_from(rate, DIP * rate, now, resumes, admitted)


def after_refusal(previous: AdaptiveRate, now: float, resumes: float, admitted: int) -> AdaptiveRate:
    """The rate after another refusal, at `now`; sending resumes at `resumes`. Refusals within a burst count once.

    After a calm, a little less than the current rate holds; if the service then asks for a long wait, the average since
    the last refusal holds, that wait included. Refusals close together mean a lower limit: each takes a tenth off the
    best rate and makes a deeper dip.
    """
    calm = now - previous.since
    if calm < BURST_S:
        return previous
    current = previous.rate(now)
    if calm <= BACK_S:
        best = 0.9 * previous.best
        return _rate_from(best, 0.8 * min(best, current), now, resumes, admitted)
    best = BELOW * current
    if resumes - now > LONG_WAIT_S:
        average = max(1, admitted - previous.admitted) / (calm + resumes - now)
        best = min(current, max(0.9 * previous.best, average))
    return _rate_from(best, DIP * best, now, resumes, admitted)


def _rate_from(best: float, low: float, now: float, resumes: float, admitted: int) -> AdaptiveRate:
    flat_s = max(FLAT_REQUESTS / best, FLAT_WAITS * (resumes - now))
    return AdaptiveRate(best, low, resumes, admitted, min(FLAT_S[1], max(FLAT_S[0], flat_s)))
