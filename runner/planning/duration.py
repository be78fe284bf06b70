"""How long a job takes: from its limits, and from how long its answers took so far."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.sliding_window import MINUTE_S, WindowLog, in_window, margin_s
from runner.ledger.statistics import PastSuccesses
from schemas.job import Job

_TYPICAL_LATENCY_S = 60.0
_SIMULATED_LATENCY_S = 0.2
_SIMULATED_MEAN = 1.17
"""Mean of the simulator's latencies, of their median."""
_REALISTIC_MEAN_S = 37.0
"""Of a realistic simulator."""


class SendTimeline:
    """When requests would leave if each is sent as early as the limits allow. last_s: when the last one leaves.

    limits: name -> limit and window (seconds). limited_by: the limit that last made a request wait.
    """

    def __init__(self, limits: Mapping[str, tuple[float, float]]) -> None:
        self._logs = {name: WindowLog(*limit, margin_s(limit[1], limit[0])) for name, limit in limits.items()}
        self.last_s = 0.0
        self.limited_by = ""

    def add(self, images: int) -> None:
        """Another request."""
        if not self._logs:
            return
        weights = {name: float(images if name == "ipm" else 1) for name in self._logs}
        for name, log in self._logs.items():
            ready = log.ready_at(self.last_s, weights[name])
            if ready > self.last_s:
                self.last_s, self.limited_by = ready, name
        for name, log in self._logs.items():
            log.add(self.last_s, weights[name])


def configured_limits(job: Job) -> dict[str, tuple[float, float]]:
    """The job's limits: name -> requests or images, and the window in seconds."""
    limits = {"rpm": job.limits.rpm, "ipm": job.limits.ipm}
    return {name: in_window(rate, job.limits.window_s) for name, rate in limits.items() if rate is not None}


def plan_time(
    requests: int, images: int, timeline: SendTimeline, job: Job, past: PastSuccesses | None
) -> tuple[float | None, str]:
    """(seconds, the limit that binds). None without limits: the service's own pace decides.

    A limit takes as long as its rate does, and at least as long as its windows take when mixed weights do not fill them.
    past: latency of this job's answers so far; without it a typical latency is assumed.
    """
    if not requests:
        return 0.0, "nothing to send"
    limits = job.limits
    latency = past.latency_s if past is not None else _typical_s(job)
    bounds = {
        name: max(0.0, amount - 1) / rate * MINUTE_S * 1.005
        for name, amount, rate in (("rpm", requests, limits.rpm), ("ipm", images, limits.ipm))
        if rate is not None
    }
    if timeline.limited_by:
        bounds[timeline.limited_by] = max(bounds[timeline.limited_by], timeline.last_s)
    if limits.concurrency is not None:
        bounds["concurrency"] = max(0.0, requests / limits.concurrency - 1) * latency
    if not bounds:
        return None, "none"
    binding = max(bounds, key=lambda name: bounds[name])
    return round(bounds[binding] + latency, 1), binding


def _typical_s(job: Job) -> float:
    if not job.simulate:
        return _TYPICAL_LATENCY_S
    if job.simulator.latency is not None:
        return job.simulator.latency * _SIMULATED_MEAN
    return _REALISTIC_MEAN_S if job.simulator.realistic else _SIMULATED_LATENCY_S * _SIMULATED_MEAN
