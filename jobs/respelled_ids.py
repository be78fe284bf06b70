"""Whether one row id is another after a trip through a spreadsheet or a table of numbers: `1` as `1.0`, `007` as `7`."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

_NUMBER = re.compile(r"[+-]?(\d{1,60})(?:[.,](\d{1,60}))?(?:[eE]([+-]?\d{1,3}))?")
_AROUND = " \t\r\n\ufeff\u200b\u00a0\u3000\"'`“”"
"""Blanks, byte order marks and quotes around an id; an apostrophe before it marks text in spreadsheets."""

_KEPT_DIGITS = 15
"""A spreadsheet keeps so many digits of a number."""
_FLOAT_DIGITS = 17
"""And a float of 64 bits at most so many."""
_SHOWN_DIGITS = 3
"""A spreadsheet shows three of them at least where it writes 1.23E+22."""


def respelled(old: str, new: str) -> bool:
    """Whether these are spellings of one id: but for blanks and quotes around it, or as the same number.

    A number that is written with an exponent, or has as many digits as a spreadsheet keeps, is one that the other may have
    been rounded to.
    """
    old, new = old.strip(_AROUND), new.strip(_AROUND)
    if old == new:
        return True
    first, second = _NUMBER.fullmatch(old), _NUMBER.fullmatch(new)
    if first is None or second is None:
        return False
    if _value(first) == _value(second):
        return True
    return _rounds_to(first, second) or _rounds_to(second, first)


def _value(number: re.Match[str]) -> Decimal:
    return Decimal(number[0].replace(",", "."))


def _rounds_to(exact: re.Match[str], rounded: re.Match[str]) -> bool:
    mantissa, exponent = f"{rounded[1]}{rounded[2] or ''}", rounded[3]
    digits = len(mantissa if exponent else mantissa.strip("0"))
    if not (_SHOWN_DIGITS if exponent else _KEPT_DIGITS) <= digits <= _FLOAT_DIGITS:
        return False
    ways = (Context(prec=digits, rounding=way) for way in (ROUND_HALF_UP, ROUND_DOWN))
    return any(way.plus(_value(exact)) == _value(rounded) for way in ways)
