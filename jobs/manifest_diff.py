"""Which rows of an edited manifest are sent: those that are new, and edited ones as `run.on_change` says.

A row's id identifies the row, its fingerprint the version. When the ledger does not know a row's fingerprint, the items with
the same id are its earlier versions; the row is compared with the newest of them (the highest item number). What happens to
the row depends on that version and on nothing else:

    the same request in other columns        -> it is that version: unchanged
    no image, and none can have been paid for -> sent: this is how a refused prompt is mended
    an image, or parked, or a task going on   -> held: `stop` refuses to run, `keep` shows the old version for the row,
                                                 `regenerate` sends the new one and leaves the old one's files where they are
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from schemas.failures import RowStatus
from schemas.manifest_diff import EditedRow, FieldChange, ManifestChanges
from schemas.request import FIELDS, ImageRequest

OnChange = Literal["stop", "keep", "regenerate"]
Items = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

NONE = -1
"""Instead of an item number: the ledger knows none."""

_SHOWN_CHARS = 60
_BEFORE_CHARS = 20
_FEW = 2
"""With fewer rows than this, no warning is given when every row differs."""


class Fate(Enum):
    """What becomes of a row whose id the ledger knows from another version."""

    SAME = "the earlier version is this row"
    SENT = "the row is sent"
    KEPT = "the earlier version stands for the row"
    REFUSED = "nothing is sent until the user has chosen"


def counts_as_held(status: RowStatus, *, polled: bool) -> bool:
    """Whether an earlier version has an image or may have been paid for. polled: it is a task that has not ended."""
    return polled or status in (RowStatus.SUCCEEDED, RowStatus.PARKED)


def fate(on_change: OnChange, *, same: bool, is_held: bool) -> Fate:
    """What becomes of the row. same: both versions are the same request. is_held: of the earlier version."""
    if same:
        return Fate.SAME
    if not is_held or on_change == "regenerate":
        return Fate.SENT
    return Fate.KEPT if on_change == "keep" else Fate.REFUSED


class KnownIds:
    """The items of a ledger by row id. 16 bytes an item."""

    def __init__(self, items: Items, keys: Keys) -> None:
        """keys: of each item's row id; equal ids have equal keys."""
        order = np.lexsort((items, keys))
        self._keys, self._items = keys[order], items[order]

    def newest(self, keys: Keys) -> Items:
        """The highest item of each key, `NONE` where there is none."""
        found = np.full(len(keys), NONE, dtype=np.int64)
        if len(self._keys):
            at = np.searchsorted(self._keys, keys, side="right") - 1
            known = (at >= 0) & (self._keys[at] == keys)
            found[known] = self._items[at[known]]
        return found

    def gone(self, present: npt.NDArray[np.bool_]) -> Items:
        """The newest item of each id that has no item in `present` (by item number); in order of first sending."""
        there = present[self._items]
        lost = ~there & ~np.isin(self._keys, self._keys[there])
        newest = np.append(self._keys[1:] != self._keys[:-1], True) if len(self._keys) else lost
        return np.unique(self._items[lost & newest])


class Comparison:
    """Compares a manifest with a ledger, batch by batch. Reads the ledger's ids when they are first needed. 1 byte an item.

    present: which items are rows of the manifest, or the newest version of one, by item number.
    """

    def __init__(
        self,
        items: int,
        ids: Callable[[], KnownIds],
        done: npt.NDArray[np.bool_] | None = None,
        recent: KnownIds | None = None,
    ) -> None:
        """items: one more than the highest item number. done: which items are of rows that the pass leaves out, by number.

        recent: the only ids that can have an earlier version; None: any id can.
        """
        self.present = np.zeros(items, dtype=np.bool_)
        if done is not None:
            self.present[: len(done)] = done[:items]
        self._read = ids
        self._ids: KnownIds | None = None
        self._recent = recent
        self._asked: list[Keys] = []

    def unknown(self, items: Items) -> npt.NDArray[np.int64]:
        """Offsets of rows that are no item of the ledger; the items of the others are in the manifest."""
        self.present[items[items != NONE]] = True
        return np.flatnonzero(items == NONE)

    def earlier(self, keys: Keys) -> Items:
        """The newest version of each of these ids; the manifest holds these ids."""
        if self._recent is None:
            return self._newest(self._known(), keys)
        self._asked.append(keys)
        return self._newest(self._recent, keys)

    def _newest(self, ids: KnownIds, keys: Keys) -> Items:
        found = ids.newest(keys)
        self.present[found[found != NONE]] = True
        return found

    def removed(self) -> Items:
        """Newest items of the ids that were not met, once the whole manifest was looked at."""
        if self.present.all():
            return np.empty(0, dtype=np.int64)
        for keys in self._asked:
            self._newest(self._known(), keys)
        return self._known().gone(self.present)

    def _known(self) -> KnownIds:
        if self._ids is None:
            self._ids = self._read()
        return self._ids


def differences(prompt: str, params: Mapping[str, Any], request: ImageRequest) -> tuple[FieldChange, ...]:
    """How the request differs from this earlier body, the prompt first; empty: the same request."""
    now = dict(request.params)
    others = sorted(({*params} | {*now}) - {*FIELDS})
    changed = [FieldChange("prompt", prompt, request.prompt)] if prompt != request.prompt else []
    changed += [
        FieldChange(name, _text(params.get(name)), _text(now.get(name)))
        for name in (*FIELDS, *others)
        if params.get(name) != now.get(name)
    ]
    return tuple(changed)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def warnings(changes: ManifestChanges, *, whole: bool) -> Iterator[str]:
    """What looks like a mistake. whole: the whole manifest was looked at, not a part of it."""
    if not whole or changes.unchanged or changes.edited + changes.new < _FEW:
        return
    if changes.edited >= _FEW and not changes.new:
        yield "every row looks different: was the column of prompts or ids changed?"
    elif changes.removed >= _FEW:
        yield (
            f"no row of this manifest is among the {changes.removed + changes.edited:,} rows that this folder has sent: "
            "is it the right folder, and were the columns of prompts or ids changed?"
        )


def edited_text(row: EditedRow) -> str:
    """One edited row on one line: its id, and each change as old -> new."""
    return f"{row.row_id}   " + ", ".join(f"{each.field}: {_change_text(each)}" for each in row.changes)


def _change_text(change: FieldChange) -> str:
    if change.field != "prompt" or change.old is None or change.new is None:
        return " -> ".join("(default)" if text is None else text for text in (change.old, change.new))
    old, new = change.old, change.new
    start = next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    start = 0 if max(len(old), len(new)) <= _SHOWN_CHARS else max(0, start - _BEFORE_CHARS)
    return f"{_cut(old, start)} -> {_cut(new, start)}"


def _cut(text: str, start: int) -> str:
    """The text from `start` on, in quotes, so much of it as is shown; control characters escaped."""
    end = start + _SHOWN_CHARS
    return repr(("…" if start else "") + text[start:end] + ("…" if len(text) > end else ""))


def with_remainder(shown: list[str], count: int) -> list[str]:
    """Lines for the first of `count` rows, and one for the others."""
    return shown if count <= len(shown) else [*shown, f"… and {count - len(shown):,} more"]
