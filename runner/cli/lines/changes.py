"""How a manifest differs from what its folder has sent, as lines for people, in the manner of a version control."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.manifest_diff import edited_text, with_remainder
from schemas.manifest_diff import ManifestChanges

_NAMED = 3
"""New and removed rows that are named on their line."""


def change_lines(changes: ManifestChanges) -> Iterator[tuple[str, str]]:
    """A line of counts, then the rows."""
    counts = (
        (changes.edited, "edited"),
        (changes.new, "new"),
        (changes.removed, "removed"),
        (changes.unchanged, "unchanged"),
    )
    yield "manifest", ", ".join(f"{count:,} {what}" for count, what in counts if count) or "empty"
    for line in with_remainder([edited_text(row) for row in changes.edited_rows], changes.edited):
        yield "edited", line
    for what, ids, count in (
        ("new", changes.new_rows, changes.new),
        ("removed", changes.removed_rows, changes.removed),
    ):
        if count:
            yield what, ", ".join(ids[:_NAMED]) + (f", … ({count:,})" if count > _NAMED else "")
