"""A simulator's options."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.simulator.options import configure
from schemas.errors import ExitCode, JobError


def test_an_unknown_dialect_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        configure(dialect="evolynk")
    assert caught.value.exit_code is ExitCode.USAGE
    assert "did you mean 'evolink'?" in str(caught.value.fix)
    path = tmp_path / "scenario.toml"
    path.write_text("dialect = 'azur'", encoding="utf-8")
    with pytest.raises(JobError, match="unknown dialect 'azur'; did you mean 'azure'"):
        configure(scenario=path)
    path.write_text("dialect = 'azure'", encoding="utf-8")
    assert configure(scenario=path).dialect == "azure"
    assert configure(scenario=path, dialect="xai").dialect == "xai"
