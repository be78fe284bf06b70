"""A set of 64-bit keys in 10 to 16 bytes a key, far less than Python's: sorted runs that double in size, and a bitmap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]

_BITS = 64
_FIRST_BITS, _MORE_BITS = 16, 2
_BITS_A_KEY = 16
"""Bits of the bitmap for each key, at least. One in so many new keys is looked up in the runs without need."""
_MASKS = 2 ** np.arange(8, dtype=np.uint8)
_STEP = 2**16
"""Keys that are marked at a time."""


class SeenKeys:
    """Remembers keys that are spread evenly over all numbers. Adding one costs about the same however many there are.

    Each key sets the bit that its leading bits select. A key whose bit is not set yet is new; only the others are looked
    up in the runs.
    """

    def __init__(self) -> None:
        self._runs: list[Keys] = []
        self._size = 0
        self._bits = _FIRST_BITS
        self._marks = np.zeros(2**_FIRST_BITS // 8, dtype=np.uint8)

    def add(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Add `keys` in order; True where a key was there already, earlier in this very call included."""
        ordered, first = np.unique(keys, return_index=True)
        repeated = np.ones(len(keys), dtype=np.bool_)
        known = self._contains(ordered)
        repeated[first[~known]] = False
        fresh = ordered[~known]
        if len(fresh):
            self._runs.append(fresh)
            self._merge()
            self._mark(fresh)
        return repeated

    def _contains(self, ordered: Keys) -> npt.NDArray[np.bool_]:
        slots, bits = self._slots(ordered)
        known = (self._marks[slots] & bits).astype(np.bool_)
        likely = np.flatnonzero(known)
        sought = ordered[likely]
        found = np.zeros(len(sought), dtype=np.bool_)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, sought), len(run) - 1)
            found |= run[at] == sought
        known[likely] = found
        return known

    def _slots(self, keys: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """The byte that holds each key's bit, and the mask of that bit."""
        slots = (keys >> np.uint64(_BITS - self._bits)).view(np.int64)
        return slots >> 3, _MASKS[slots & 7]

    def _mark(self, fresh: Keys) -> None:
        self._size += len(fresh)
        if self._size * _BITS_A_KEY <= 2**self._bits:
            np.bitwise_or.at(self._marks, *self._slots(fresh))
            return
        while self._size * _BITS_A_KEY > 2**self._bits:
            self._bits += _MORE_BITS
        self._marks = np.zeros(2**self._bits // 8, dtype=np.uint8)
        for run in self._runs:
            for part in np.array_split(run, len(run) // _STEP + 1):
                np.bitwise_or.at(self._marks, *self._slots(part))

    def _merge(self) -> None:
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            merged = np.concatenate((self._runs.pop(), self._runs.pop()))
            merged.sort(kind="stable")
            self._runs.append(merged)
