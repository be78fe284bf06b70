"""Jobs loaded from a folder of the test's own, and the mistakes that are found in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.config.loader import load_job
from schemas.errors import ExitCode, JobError
from schemas.job import Job


def load(
    cwd: Path,
    toml: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Job:
    """The job of a file with this text (None: no file), these options and these variables."""
    if toml is not None:
        (cwd / "job.toml").write_text(toml)
    return load_job(None if toml is None else "job.toml", overrides or {}, environ=environ or {}, cwd=cwd)


def mistakes(
    cwd: Path,
    toml: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """The message about such a job, which must not be taken."""
    with pytest.raises(JobError) as caught:
        load(cwd, toml, overrides, environ)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value.message
