"""The set of 64-bit keys against Python's own."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobs.key_set import SeenKeys

KEYS = st.integers(0, 12) | st.integers(0, 2**64 - 1)


@given(st.lists(st.lists(KEYS, max_size=20), max_size=12))
def test_a_key_is_a_repeat_exactly_when_a_set_has_it(batches: list[list[int]]) -> None:
    seen, known = SeenKeys(), set[int]()
    for batch in batches:
        expected = []
        for key in batch:
            expected.append(key in known)
            known.add(key)
        assert seen.add(np.array(batch, dtype=np.uint64)).tolist() == expected


def test_a_hundred_thousand_keys_in_small_batches() -> None:
    keys = np.random.default_rng(7).integers(0, 2**64, 100_000, dtype=np.uint64)
    seen = SeenKeys()
    repeats = sum(int(seen.add(part).sum()) for part in np.array_split(keys, 500))
    assert repeats == len(keys) - len(np.unique(keys))
    assert seen.add(keys).all()
