"""Who hears of a run's progress."""

from __future__ import annotations

from collections.abc import Callable

from schemas.reports import Progress

Observer = Callable[[Progress], None]
