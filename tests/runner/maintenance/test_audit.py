"""The files of a folder held against its ledger, piece by piece; `test_verify.py` has whole folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.maintenance.audit import check_files
from tests.support.ledgers import LedgerFolder


@pytest.mark.parametrize(("before_s", "problems"), [(None, 1), (6.0, 1), (5.0, 0)])
def test_a_file_that_a_run_may_be_writing_is_no_problem(
    tmp_path: Path, before_s: float | None, problems: int
) -> None:
    with LedgerFolder(tmp_path) as workspace:
        Folder(tmp_path).save("images/0000/foreign.png", (b"x",))
        os.utime(tmp_path / "images/0000/foreign.png", (5.0, 5.0))
        named, found = check_files(workspace.ledger, repair_in=None, before_s=before_s)
    assert (named, [problem.path for problem in found]) == (0, ["images/0000/foreign.png"] * problems)
