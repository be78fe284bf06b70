"""Every dialect against the simulator, in the numbers that every run of the suite can afford.

More by hand: `python -m tests.attacks.dialects --rows 200`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.simulator.dialects import DIALECTS as SIMULATED
from schemas.task_dialects import AUTO, DIALECTS
from tests.attacks.dialects import matrix
from tests.attacks.dialects.cells import CELLS, Ground, ground
from tests.attacks.dialects.ways import WAYS

_PLAIN, *_DISTURBED = CELLS
_THOROUGH = ("evolink, auto", "sub2api", "tokenhub")
"""One that is recognised, one that tells where to poll, one whose failures have a shape of their own."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return ground(tmp_path_factory.mktemp("dialects"), 8)


def test_there_is_a_way_to_every_dialect() -> None:
    assert {way.speaks for way in WAYS} == SIMULATED.keys()
    named = {way.options[1] for way in WAYS if way.tasks and way.options[:1] == ("--dialect",)}
    assert named == DIALECTS.keys()
    assert AUTO.name in named


def test_the_same_table_by_every_dialect(small: Ground) -> None:
    assert matrix.failures(matrix.made(small, WAYS, (_PLAIN,))) == []


def test_kills_and_tasks_that_fail_vanish_or_never_end(small: Ground) -> None:
    ways = [way for way in WAYS if way.name in _THOROUGH]
    assert len(ways) == len(_THOROUGH)
    assert matrix.failures(matrix.made(small, ways, _DISTURBED, parallel=3)) == []


@pytest.mark.campaign
def test_the_whole_matrix(tmp_path: Path) -> None:
    assert matrix.failures(matrix.made(ground(tmp_path, 200), WAYS)) == []
