"""Every fault of the catalogue against `imagemill run`, over one shared run (T: faults that every release survives)."""

from __future__ import annotations

import pytest

from tests.attacks.faults.catalogue import FAULTS
from tests.attacks.faults.checks import CHECKS, check_all
from tests.attacks.faults.drive import run_all
from tests.attacks.faults.judge import Verdict, judge_all


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Verdict], dict[str, list[str]]]:
    """Verdicts by fault and problems by check, of one pass over everything."""
    runs = run_all(tmp_path_factory.mktemp("faults"), frozenset(FAULTS))
    return {verdict.name: verdict for verdict in judge_all(runs)}, check_all(runs)


@pytest.mark.parametrize("name", FAULTS)
def test_fault(judged: tuple[dict[str, Verdict], dict[str, list[str]]], name: str) -> None:
    verdict = judged[0][name]
    assert not verdict.problems, f"{FAULTS[name].does}: came to {verdict.outcome}; {FAULTS[name].why}"


@pytest.mark.parametrize("name", CHECKS)
def test_check(judged: tuple[dict[str, Verdict], dict[str, list[str]]], name: str) -> None:
    assert judged[1][name] == []
