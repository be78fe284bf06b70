"""What a check of `imagemill doctor` comes to."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from schemas.errors import ExitCode


class Level(StrEnum):
    """How a check ended. A warning does not stop a run."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(NamedTuple):
    """One finding. exit_code: what `doctor` exits with when this check failed."""

    name: str
    level: Level
    detail: str
    exit_code: ExitCode = ExitCode.OK
