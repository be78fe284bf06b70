"""Ids that a spreadsheet, or a column that became one of numbers, has written anew."""

from __future__ import annotations

import pytest

from jobs.respelled_ids import respelled

SAME = [
    ("1", "1.0"),
    ("1", "1,0"),
    ("1", "1.000"),
    ("007", "7"),
    ("007", "7.0"),
    ("007", "'007"),
    ("1e5", "100000"),
    ("1e5", "1.00E+05"),
    ("1E5", "100000.0"),
    ("-3", "-3.0"),
    ("0", "0.0"),
    ("12345678901234567890123", "1.23E+22"),
    ("12345678901234567890123", "1.2345678901234568e+22"),
    ("12345678901234567890123", "12345678901234600000000"),
    ("12345678901234567890123", "12345678901234500000000"),
    ("1234567890123456", "1234567890123450"),
    ("1200000000000000000", "1.20E+18"),
    ("1", " 1 "),
    ("1", "\ufeff1"),
    ("fox", '"fox"'),
    ("fox", "fox\u00a0"),
]
OTHER = [
    ("1", "2"),
    ("1", "10"),
    ("1", "1.1"),
    ("1", "-1"),
    ("1", "1a"),
    ("fox", "Fox"),
    ("fox-1", "fox-01"),
    ("12345", "12300"),
    ("12345", "1.2E+04"),
    ("12345678901234567890123", "1.24E+22"),
    ("12345678901234567890123", "1.23E+21"),
    ("12345678901234567890123", "12345678901234567890124"),
    ("1234567890123456", "1234567890123460000"),
    ("1234567890123456780", "1234567890123456789"),
    ("", "0"),
    ("1e999", "1e998"),
    ("v1", "v1.0"),
    ("1.2.3", "1.2.30"),
]


@pytest.mark.parametrize(("old", "new"), SAME)
def test_the_same_id(old: str, new: str) -> None:
    assert respelled(old, new) and respelled(new, old)


@pytest.mark.parametrize(("old", "new"), OTHER)
def test_another_id(old: str, new: str) -> None:
    assert not respelled(old, new) and not respelled(new, old)
