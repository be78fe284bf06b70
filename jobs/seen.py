"""A set of 64-bit keys in 8 bytes a key: sorted runs that double in size, so memory stays far below a Python set's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]


class SeenKeys:
    """Remembers keys. Adding n keys to a set of m costs about n log m comparisons, vectorised."""

    def __init__(self) -> None:
        self._runs: list[Keys] = []

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
        return repeated

    def _contains(self, ordered: Keys) -> npt.NDArray[np.bool_]:
        known = np.zeros(len(ordered), dtype=np.bool_)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, ordered), len(run) - 1)
            known |= run[at] == ordered
        return known

    def _merge(self) -> None:
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            merged = np.concatenate((self._runs.pop(), self._runs.pop()))
            merged.sort(kind="stable")
            self._runs.append(merged)
