"""Random jobs with failures, restarts, cuts and kills never spend or send more than they may (G6)."""

from __future__ import annotations

import pytest

from tests.bench.budget import forks, results, run_job_often
from tests.bench.charging import ChargingService

JOBS = 60
GROUPS = 6


@pytest.mark.parametrize("group", range(GROUPS))
def test_the_service_never_charges_more_than_the_cap(group: int) -> None:
    size = JOBS // GROUPS
    found = results(range(group * size, (group + 1) * size))
    assert len(found) == size
    assert [(result.overshoot, result.overcount) for result in found] == [(0.0, 0)] * size
    assert [result.leaks for result in found] == [[]] * size


def test_a_cap_that_pays_for_some_is_used() -> None:
    with ChargingService() as service:
        found = [run_job_often(seed, service, forks()) for seed in range(4)]
    assert sum(result.requests for result in found) > 0
