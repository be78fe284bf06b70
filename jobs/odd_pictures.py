"""Pictures that a service gives out instead of the wanted ones: the same for many rows, or of one colour.

A service that is overloaded, or that hides what it refuses, answers with such placeholders as if all were well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.counts import Repeated
from schemas.outcome import BLANK, DUPLICATE, SavedImage
from schemas.reports import RunWarning

FIRST_TOLD = 5
"""Rows with the same picture that are worth telling while a run goes on; then each time that they are ten times as many."""
_REMEMBERED = 10_000


def warnings(repeated: Sequence[Repeated], blank: int) -> tuple[RunWarning, ...]:
    """What a folder's pictures are worth telling. repeated: those of the most rows first. blank: rows of one colour."""
    found = []
    if repeated:
        rows = sum(each.rows for each in repeated)
        most = repeated[0]
        text = f"{most.rows:,} rows have the same picture ({most.file_name})"
        if len(repeated) > 1:
            text += (
                f", {rows - most.rows:,} more share {len(repeated) - 1:,} other{'s' * (len(repeated) > 2)}"
            )
        found.append(RunWarning(DUPLICATE, f"{text}: {DUPLICATE}", rows))
    if blank:
        have = "row has" if blank == 1 else "rows have"
        found.append(RunWarning(BLANK, f"{blank:,} {have} a picture of one colour: {BLANK}", blank))
    return tuple(found)


class OddPictures:
    """Those that one run has brought so far. notes: what to tell, in the order in which it was seen.

    It is told of all such pictures together, so that a service with many placeholders does not fill the screen.
    It remembers the last ten thousand pictures, so that memory does not grow with the run.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._rows: dict[str, int] = {}
        self._pictures = self._shared = self._blank = 0
        self._tell_shared_at = self._tell_blank_at = FIRST_TOLD

    def add(self, images: Iterable[SavedImage]) -> None:
        """The images that one row has got."""
        for digest in {image.sha256 for image in images}:
            rows = self._rows[digest] = self._rows.pop(digest, 0) + 1
            if rows >= FIRST_TOLD:
                self._pictures += rows == FIRST_TOLD
                self._shared += FIRST_TOLD if rows == FIRST_TOLD else 1
        if self._shared >= self._tell_shared_at:
            self._tell_shared_at *= 10
            have = "have the same picture" if self._pictures == 1 else f"share {self._pictures:,} pictures"
            self.notes.append(f"{self._shared:,} rows {have} so far: {DUPLICATE}")
        self._blank += any(BLANK in image.flags for image in images)
        if self._blank >= self._tell_blank_at:
            self._tell_blank_at *= 10
            self.notes.append(f"{self._blank:,} rows have a picture of one colour so far: {BLANK}")
        while len(self._rows) > _REMEMBERED:
            del self._rows[next(iter(self._rows))]
