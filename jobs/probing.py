"""Finding a pace that the service does not tell: refusals bound it from above, patience probes it from below.

The curve is that of CUBIC congestion control, on the rate of sending instead of a window: after a refusal a little
below the best rate that held, back to it within seconds, flat for a while, then ever faster upwards until the next
refusal. So a steady limit is met from just below, with one refusal now and then, and a raised one is found soon.
"""

from __future__ import annotations

from dataclasses import dataclass

BACK_S = 2.0
"""Seconds to return to the best rate after a refusal."""
FLAT_S = 12.0
"""Seconds at the best rate before probing above it."""
FEW_A_SECOND = 40.0
"""Below this rate a refusal is a larger share of the requests, so the flat part is longer."""
DOUBLING_S = 14.0
"""Seconds of probing after which the rate has doubled."""
LONG_WAIT_S = 2.0
"""A wait that tells of a window much longer than a second."""
BURST_S = 0.5
"""Refusals this close together are one burst."""


@dataclass(frozen=True, slots=True)
class Pace:
    """best: the highest rate (a second) that is believed to hold. low: the rate just after the refusal.

    since: when that was (seconds, any monotonic clock). admitted: requests admitted in all until then.
    """

    best: float
    low: float
    since: float
    admitted: int

    def rate(self, now: float) -> float:
        """Requests a second to send now."""
        passed = now - self.since
        if passed < BACK_S:
            return self.low + (self.best - self.low) * max(0.0, passed) / BACK_S
        flat_s = FLAT_S * min(3.0, max(1.0, FEW_A_SECOND / self.best))
        probing = max(0.0, passed - BACK_S - flat_s) / DOUBLING_S
        return self.best * (1.0 + probing**2)


def first_pace(admitted: int, elapsed_s: float, sending: float, now: float, resumes: float) -> Pace:
    """The pace after the first refusal at `now`; sending goes on at `resumes`.

    sending: requests a second sent lately. A short wait tells of a short window (or a busy service): nearly that rate
    holds. A long wait tells of a long one: what was admitted, over all the time that it must last for.
    """
    average = max(1, admitted) / max(0.05, elapsed_s + resumes - now)
    rate = average if resumes - now > LONG_WAIT_S else max(average, 0.85 * sending)
    return Pace(rate, rate, resumes, admitted)


def refused(pace: Pace, now: float, resumes: float, admitted: int) -> Pace:
    """The pace after another refusal at `now`; sending goes on at `resumes`. Refusals while nobody sends are one burst.

    After a calm the truth lies between what was sent just now and what was admitted on average since the last one.
    Refusals close together mean a lower limit: each takes a tenth off the best rate and makes a deeper dip.
    """
    calm = now - pace.since
    if calm < BURST_S:
        return pace
    current = pace.rate(now)
    if calm > BACK_S:
        average = max(1, admitted - pace.admitted) / (calm + max(0.0, resumes - now))
        middle = average if resumes - now > LONG_WAIT_S else 0.99 * (current * average) ** 0.5
        best = min(current, max(0.9 * pace.best, middle))
        return Pace(best, 0.97 * best, resumes, admitted)
    best = 0.9 * pace.best
    return Pace(best, 0.8 * min(best, current), resumes, admitted)
