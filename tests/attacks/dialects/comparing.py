"""Results tables held against each other."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from tests.attacks.dialects.rehearsal import Table
from tests.attacks.dialects.ways import Way

_COST_FLAG = "estimated_cost"


def differences(found: Table, official: Table, way: Way, *, without: Container[str] = ()) -> list[str]:
    """How a table differs from the official dialect's, a line a column. without: row ids that are judged elsewhere."""
    if found.keys() != official.keys():
        return [f"rows: {len(found)} instead of {len(official)}, or others"]
    rows = {key: (found[key], official[key]) for key in official if key[0] not in without}
    lines = []
    for column in next(iter(official.values())):
        if column in way.not_compared:
            continue
        unlike = [
            f"{key[0]} has {one[column]!r:.60} for {other[column]!r:.60}"
            for key, (one, other) in rows.items()
            if _plain(one[column]) != _plain(other[column])
        ]
        if unlike:
            lines.append(f"{column}: {len(unlike)} rows, {unlike[0]}")
    return lines + _told(rows, way)


def _told(rows: dict[tuple[str, int], tuple[dict[str, Any], dict[str, Any]]], way: Way) -> list[str]:
    """Columns that the service is said not to tell of, and does."""
    return [
        f"{column}: is told after all"
        for column in way.lacks
        if any(one[column] is not None for one, _ in rows.values())
    ]


def _plain(value: Any) -> Any:
    """A value without the flag that is about costs."""
    return [flag for flag in value if flag != _COST_FLAG] if isinstance(value, list) else value
