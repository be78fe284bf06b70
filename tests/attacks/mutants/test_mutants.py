"""Each planted bug has a place in the source, and each is caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.mutants.__main__ import hunt, lines, silent
from tests.attacks.mutants.bugs import BUGS, Bug
from tests.attacks.mutants.laboratory import planted


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_bug_can_be_planted(checkout: Path, bug: Bug) -> None:
    assert planted(checkout, bug) != (checkout / bug.path).read_text(encoding="utf-8")
    assert [test for test in bug.tests if not (checkout / test.partition("::")[0]).is_file()] == []


@pytest.mark.parametrize("old", ["nowhere to be found", "def "])
def test_a_place_that_cannot_be_told_is_an_error(checkout: Path, old: str) -> None:
    with pytest.raises(ValueError, match="the text to replace is"):
        planted(checkout, Bug("moved", "runner/process/redaction.py", old, "", ()))


def test_tests_that_can_catch_nothing_are_named() -> None:
    bug = Bug("some", "a.py", "", "", ("tests/test_a.py", "tests/test_b.py::test_one"))
    assert silent([bug], {"tests/test_a.py::test_x", "tests/test_b.py::test_one[1]"}) == []
    assert silent([bug], {"tests/test_b.py::test_two"}) == ["tests/test_a.py", "tests/test_b.py::test_one"]


@pytest.mark.campaign
def test_every_bug_is_caught(tmp_path: Path) -> None:
    catches = hunt(BUGS, tmp_path)
    assert all(catch.by for catch in catches), "\n".join(lines(catches))
