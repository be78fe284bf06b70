"""Words of `--where` in any order: few of them are an expression."""

from __future__ import annotations

from hypothesis import strategies as st

_WORDS = (
    "mood", "width", "ok", "at", "flags", "'x'", "7", "(", ")", ",", "==", "<", "-",
    "and", "or", "not", "in", "is", "null", "like", "between", "case", "when", "end", "contains", "lower", "as", "cast",
    "true",
)  # fmt: skip
ANY_WORDS = st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join)
