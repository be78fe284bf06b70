"""The moments at which a campaign kills, by the part of a run in which they come. The trap tells them by these labels."""

from __future__ import annotations

_SAVING = (
    *("created", "before sync", "after sync", "before rename", "after rename"),
    *("before folder sync", "after folder sync"),
)


def _file(kind: str) -> tuple[str, ...]:
    return tuple(f"{kind}: {step}" for step in _SAVING)


def _transaction(kind: str) -> tuple[str, ...]:
    return (f"{kind}: in its transaction", f"{kind}: before commit", f"{kind}: after commit")


def _alone(kind: str) -> tuple[str, ...]:
    return (f"{kind}: before commit", f"{kind}: after commit")


FRESH = (
    *(
        "folder: before making",
        "folder: after making",
        "folder: before folder sync",
        "folder: after folder sync",
    ),
    *_transaction("layout"),
)
"""Only in the first run of a folder, which makes three of them."""

OPENING = (
    *(
        "lock: before",
        "lock: after",
        "clearing, before",
        "clearing, after",
        "adopting, before",
        "adopting, after",
    ),
    *("settling, before", "settling, after"),
    *_file("job file"),
    *_alone("run start"),
)
"""Every run, before it sends."""

RECOVERY = _alone("settlement")
"""Opening a folder whose last run was killed with attempts in flight."""

ENGINE = (
    *("permit granted", "record queued", "commit reported"),
    *_transaction("intent"),
    *("connection: before", "request: before send", "request: after send"),
    *("answer: bytes read", "answer received", "check, before", "check, after"),
    *_file("image"),
    "image: written",
    *_file("paid body"),
    *_transaction("outcome"),
)
"""While rows are sent."""

CLOSING = (
    "concluding",
    *_alone("run end"),
    *_transaction("table digest"),
    *_file("table"),
    *_file("summary"),
    *("ledger: before close", "ledger: after close"),
)
"""Every run, after it has sent."""

PARTS = {"fresh": FRESH, "opening": OPENING, "recovery": RECOVERY, "engine": ENGINE, "closing": CLOSING}
POINTS = tuple(label for labels in PARTS.values() for label in labels)
