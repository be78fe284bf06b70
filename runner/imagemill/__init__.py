"""imagemill from Python: `import imagemill` gives what `import runner` gives.

The wheel has this package at its top level. It is the way in where a program has a `runner` of its own: it says so.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

_MARK = 'IMAGEMILL_PACKAGE = "runner"'


def _refuse_another_runner() -> None:
    """Raises ImportError where `runner` is somebody else's; without importing that."""
    spec = find_spec("runner")
    origin = None if spec is None else spec.origin
    if origin is None or _MARK not in Path(origin).read_text(encoding="utf-8", errors="replace"):
        found = "nothing" if spec is None else origin or list(spec.submodule_search_locations or ())
        raise ImportError(
            f"Python finds {found} where imagemill's own package `runner` should be: "
            "rename yours, or start Python from another folder (or with -P, and without PYTHONPATH)"
        )


_refuse_another_runner()

import runner  # noqa: E402

__all__ = list(runner.__all__)

if TYPE_CHECKING:
    from runner import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(runner, name)
    raise AttributeError(f"module 'imagemill' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
