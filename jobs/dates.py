"""Days and times of day as a job file writes them, made definite. `now` and `today` are arguments."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

_NAMED = {"today": 0, "yesterday": 1}


def day_of(text: str | None, today: date) -> date:
    """The day that `YYYY-MM-DD`, `today`, `yesterday` or None (today) means. Raises ValueError for anything else."""
    if text is None:
        return today
    word = text.strip().lower()
    if word in _NAMED:
        return today - timedelta(days=_NAMED[word])
    return datetime.strptime(word, "%Y-%m-%d").date()


def deadline_of(text: str, now: datetime) -> datetime:
    """When a run must end: the next time that the clock shows `HH:MM[:SS]`, or an ISO date and time as it stands.

    now: local time, without a zone; so is the result, unless the text names a zone. Raises ValueError for other text.
    """
    word = text.strip()
    if "-" in word:
        return datetime.fromisoformat(word)
    at = time.fromisoformat(word if ":" in word else "?")
    if at.tzinfo is not None:
        raise ValueError(text)
    due = datetime.combine(now.date(), at)
    return due if due > now else due + timedelta(days=1)


def days_before(day: date, count: int) -> list[date]:
    """The `count` days before this one, newest first."""
    return [day - timedelta(days=back) for back in range(1, count + 1)]
