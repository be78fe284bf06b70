"""The user's state folder, for what several processes share."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """Where shared allowances are kept: `$XDG_STATE_HOME/imagemill`, else `~/.local/state/imagemill`."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "imagemill"
