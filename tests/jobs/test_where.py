"""Expressions of `--where`: what they mean, what they refuse, and which parked rows they name."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.where import (
    All,
    AnyOf,
    Column,
    Compare,
    Holds,
    IsNull,
    Match,
    Not,
    OneOf,
    Truth,
    WhereError,
    columns,
    parked_by,
    parse,
)
from schemas.failures import FailureKind

A, B = Column("a"), Column("b")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a == 'x'", Compare(A, "==", "x")),
        ("'x' != a", Compare(A, "!=", "x")),
        ("2 < a", Compare(A, ">", 2)),
        ("1 < a <= -2.5", All((Compare(A, ">", 1), Compare(A, "<=", -2.5)))),
        ("a == b", Compare(A, "==", B)),
        ("a in ('x', 'y')", OneOf(A, ("x", "y"))),
        ("a in ('x')", OneOf(A, ("x",))),
        ("a not in [1, 2]", Not(OneOf(A, (1, 2)))),
        ("'x' in a", Holds(A, "x")),
        ("a is null", IsNull(A)),
        ("a IS NOT NULL", Not(IsNull(A))),
        ("a == None", IsNull(A)),
        ("a != null", Not(IsNull(A))),
        ("a == true or b", AnyOf((Compare(A, "==", True), Truth(B)))),
        ("not (a and b)", Not(All((Truth(A), Truth(B))))),
        ("like(a, 'x%')", Match("like", A, "x%")),
        ("`my col` == 'is null'", Compare(Column("my col"), "==", "is null")),
        ("`a` == 'x' and `b c` is null", All((Compare(A, "==", "x"), IsNull(Column("b c"))))),
        ("a == 'it\\'s `b`'", Compare(A, "==", "it's `b`")),
        ("  a ==\n 'x'", Compare(A, "==", "x")),
    ],
)
def test_what_an_expression_means(text: str, tree: object) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("a = 'x'", "write == to compare"),
        ("a == 'x' AND b", "small letters"),
        ("a ==", "cannot be read at character"),
        ("a.b == 'x'", "should be the name of a column"),
        ("a[0] == 'x'", "should be the name of a column"),
        ("a.b == 2", "`a.b` at character 1: should be the name of a column"),
        ("class == 'x'", "stands in backquotes"),
        ("open('x')", "none of the functions contains, startswith"),
        ("a.strip()", "none of the functions"),
        ("like(a)", "takes a column and a text"),
        ("contains(a, 3)", "a text in quotes"),
        ("a == 1 + 1", "should be a text in quotes"),
        ("a == b'x'", "should be a text in quotes"),
        ("a is 'x'", "write =="),
        ("a < None", "null is only compared"),
        ("(lambda: a)", "is no comparison"),
        ("[x for x in a]", "is no comparison"),
        ("a == f'{b}'", "should be a text in quotes"),
        ("'x' == 'y'", "should be the name of a column"),
        ("(" * 300 + "a" + ")" * 300, "cannot be read"),
        ("a" * 10_001, "more than 10,000 characters"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, told: str) -> None:
    with pytest.raises(WhereError) as refused:
        parse(text)
    assert told in str(refused.value)


@given(st.text(max_size=60))
def test_any_text_is_a_tree_or_a_refusal(text: str) -> None:
    with suppress(WhereError):
        assert list(columns(parse(text)))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("quality == 'high'", set()),
        ("error_kind == 'timeout'", {"timeout"}),
        ("error_kind in ('timeout', 'moderation') and quality == 'high'", {"timeout"}),
        ("not (error_kind == 'timeout')", set()),
        ("error_kind != 'moderation'", set()),
        ("status == 'parked' or quality == 'high'", set(FailureKind)),
        ("status != 'parked'", set()),
    ],
)
def test_parked_rows_are_named_outright_or_not_at_all(text: str, kinds: set[str]) -> None:
    assert parked_by(parse(text)) == kinds
