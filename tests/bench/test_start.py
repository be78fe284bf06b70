"""The measuring script works, on a small scale; memory does not follow the manifest's length."""

from __future__ import annotations

from pathlib import Path

from tests.bench import start

EXIT_BUDGET = 8
SHORT, LONG = 30_000, 200_000
MORE_MB = 40
"""300 bytes a row more would show."""


def test_memory_does_not_follow_the_manifest(tmp_path: Path) -> None:
    short, long = start.run(tmp_path, SHORT), start.run(tmp_path, LONG)
    assert (short.exit_code, long.exit_code) == (EXIT_BUDGET, EXIT_BUDGET)
    assert (short.results_rows, long.results_rows) == (SHORT, LONG)
    assert long.peak_mb - short.peak_mb < MORE_MB < short.peak_mb
