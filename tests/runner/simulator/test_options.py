"""A simulator's options."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from runner.simulator.answers.document import Latency
from runner.simulator.config import REALISTIC_LATENCY
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


def test_a_latency_that_was_told_goes_before_a_realistic_one(tmp_path: Path) -> None:
    assert configure(realistic=True).latency == REALISTIC_LATENCY
    assert configure(realistic=True).realistic
    assert configure(realistic=True, latency=0.0).latency == Latency(0.0, 0.0)
    path = tmp_path / "scenario.toml"
    path.write_text("latency = { median = 1, p95 = 2 }", encoding="utf-8")
    assert configure(realistic=True, scenario=path).latency == Latency(1.0, 2.0)


def test_nine_in_ten_realistic_answers_take_20_to_60_s() -> None:
    drawn = sorted(REALISTIC_LATENCY.draw_s(Random(number)) for number in range(1_000))
    assert 18 < drawn[50] < 22
    assert 56 < drawn[950] < 64
