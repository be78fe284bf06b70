"""Counts, money and durations in words."""

from __future__ import annotations

from datetime import UTC, datetime


def duration_text(seconds: float) -> str:
    """`0.4 s`, `45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"


def money_text(usd: float) -> str:
    """USD with two digits, four below ten cents: `$12.30`, `$0.0420`."""
    return f"${usd:,.2f}" if usd == 0 or usd >= 0.1 else f"${usd:.4f}"


def time_text(moment: str) -> str:
    """An ISO 8601 time as local time with its offset: `2026-11-30 06:39:28+08:00`."""
    return datetime.fromisoformat(moment).astimezone().isoformat(" ", "seconds")


def utc_text(unix_ms: float) -> str:
    """The same moment for programs: ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")


def count_text(count: int, one: str, many: str = "") -> str:
    """`1 image`, `1,200 images`. many: what stands behind other numbers, where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
