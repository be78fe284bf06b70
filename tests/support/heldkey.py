"""A key that a command prints when the test says so: until then a run is being prepared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """touch asked
while [ -e held ]; do sleep 0.02; done
echo a-key-of-nobody
"""


@dataclass(frozen=True, slots=True)
class HeldKey:
    """folder: where imagemill is run."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "key.sh").write_text(_SCRIPT)
        (self.folder / "held").touch()

    @property
    def options(self) -> tuple[str, ...]:
        """For a run that is to ask for it."""
        return ("--set", "endpoint.api_key_command=sh key.sh")

    def is_asked_for(self) -> bool:
        """Whether a run waits for it, or has it."""
        return (self.folder / "asked").exists()

    def give(self) -> None:
        """Let it go, now and whenever it is asked for."""
        (self.folder / "held").unlink()
