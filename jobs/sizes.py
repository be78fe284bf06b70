"""Sizes of images as requests name them: `auto`, or WIDTHxHEIGHT in pixels."""

from __future__ import annotations

import re

from jobs.quoting import quoted

_SIZE = re.compile(r"[1-9]\d{0,4}x[1-9]\d{0,4}")
_TWO_NUMBERS = re.compile(r"\s*(\d{1,5})\s*(?:px|\D)+\s*(\d{1,5})\s*(?:px)?\s*", re.IGNORECASE)
_ONE_NUMBER = re.compile(r"\D*(\d{3,5})\D*")


def size_problem(text: str, name: str) -> str | None:
    """Why this is no size, with the one that was probably meant; None for one. name: what a message calls the value."""
    if text == "auto" or _SIZE.fullmatch(text):
        return None
    meant = _meant(text)
    hint = (
        "write WIDTHxHEIGHT in pixels, such as 1024x1024, or auto"
        if meant is None
        else f"did you mean {meant}?"
    )
    return f"{name} is {quoted(text)}, which is no size; {hint}"


def _meant(text: str) -> str | None:
    if text.strip().lower() == "auto":
        return "auto"
    if (both := _TWO_NUMBERS.fullmatch(text)) is not None:
        size = f"{int(both[1])}x{int(both[2])}"
    elif (one := _ONE_NUMBER.fullmatch(text)) is not None:
        size = f"{int(one[1])}x{int(one[1])}"
    else:
        return None
    return size if _SIZE.fullmatch(size) and min(map(int, size.split("x"))) >= 64 else None
