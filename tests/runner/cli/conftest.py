"""The installed command, run as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMAND = (str(Path(sys.executable).with_name("imagemill")),)
MODULE = (sys.executable, "-m", "runner")


@dataclass(frozen=True)
class Ended:
    """A finished process."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object on the last line of stdout, which is the only one there."""
        lines = self.out.splitlines()
        assert [line for line in lines if line.startswith("{")] == lines[-1:]
        return json.loads(lines[-1])


Imagemill = Callable[..., Ended]


@pytest.fixture
def imagemill(tmp_path: Path) -> Imagemill:
    """Run the command in an empty folder, with nothing of ours in the environment."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith("_API_KEY")}
    kept.pop("PYTHONPATH", None)

    def run(*arguments: str, program: Sequence[str] = COMMAND, **environ: str) -> Ended:
        done = subprocess.run(
            [*program, *arguments],
            cwd=tmp_path,
            env={**kept, "COLUMNS": "100", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run
