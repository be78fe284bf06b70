"""The expressions of `retry --where`, parsed into a small closed tree. Nothing in them is ever run as Python.

What an expression may hold: `== != < <= > >=` between a column and a value (or two columns), `in (…)` and `not in (…)`,
`'x' in flags` for columns that hold lists, `is null` and `is not null`, `like(column, 'a%')`, `contains`, `startswith`
and `endswith`, `and`, `or`, `not`, parentheses, the name of a true-or-false column, and backquotes around odd names.
A comparison with a null is false, `!=` and `not in` are true, as in Python.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from schemas.failures import RULES, FailureKind, RowStatus

Value = str | int | float | bool
MAX_CHARS = 10_000
MATCHES = ("contains", "startswith", "endswith", "like")

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`([^`]*)`")
_NULL = re.compile(r"\b(is\s+(?:not\s+)?)null\b", re.IGNORECASE)
_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class WhereError(ValueError):
    """The expression cannot be read; the message says where and why."""


class Column(NamedTuple):
    """A column by its name."""

    name: str


class Compare(NamedTuple):
    """operator: one of == != < <= > >=."""

    column: Column
    operator: str
    other: Column | Value


class OneOf(NamedTuple):
    """The column's value is one of these."""

    column: Column
    values: tuple[Value, ...]


class Holds(NamedTuple):
    """The column's list holds this value."""

    column: Column
    value: Value


class IsNull(NamedTuple):
    """The column's value is null."""

    column: Column


class Match(NamedTuple):
    """function: one of `MATCHES`; `like` takes % for any text and _ for any character."""

    function: str
    column: Column
    text: str


class Truth(NamedTuple):
    """The column's value is true."""

    column: Column


class Not(NamedTuple):
    """The opposite."""

    part: Tree


class All(NamedTuple):
    """`and`."""

    parts: tuple[Tree, ...]


class AnyOf(NamedTuple):
    """`or`."""

    parts: tuple[Tree, ...]


Tree = Compare | OneOf | Holds | IsNull | Match | Truth | Not | All | AnyOf


_QUOTE_HINT = "; the name of a column that is no plain word stands in backquotes: `my column`"


def parse(text: str) -> Tree:
    """The tree of an expression. Raises WhereError."""
    if not text.strip():
        raise WhereError("is empty")
    if len(text) > MAX_CHARS:
        raise WhereError(f"has more than {MAX_CHARS:,} characters")
    source, names = _unquoted(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(source.replace("\n", " ").strip(), mode="eval").body
        return _Reader(names).tree(body)
    except SyntaxError as error:
        raise WhereError(_told(text, error.offset)) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise error if isinstance(error, WhereError) else WhereError("cannot be read") from None


def _told(text: str, offset: int | None) -> str:
    hint = "; write == to compare" if re.search(r"(?<![=!<>])=(?!=)", text) else _QUOTE_HINT
    if re.search(r"\b(AND|OR|NOT|IN|LIKE)\b", text):
        hint = "; write and, or, not, in in small letters, and like(column, 'a%')"
    return f"cannot be read at character {offset or len(text)}{hint}"


def _unquoted(text: str) -> tuple[str, dict[str, str]]:
    """The text with `backquoted` names and nulls as Python can read them, and what those names stand for."""
    names: dict[str, str] = {}
    pieces, last = [], 0
    for found in _QUOTED.finditer(text):
        pieces.append(_NULL.sub(lambda match: f"{match[1].lower()}None", text[last : found.start()]))
        last = found.end()
        if found[1] is None:
            pieces.append(found[0])
            continue
        stand_in = f"_{len(names)}".ljust(len(found[0]), "_")
        while stand_in in text:
            stand_in += "_"
        names[stand_in] = found[1]
        pieces.append(stand_in)
    pieces.append(_NULL.sub(lambda match: f"{match[1].lower()}None", text[last:]))
    return "".join(pieces), names


class _Reader(NamedTuple):
    """From Python's syntax tree to ours. names: what stand-ins of quoted names mean."""

    names: dict[str, str]

    def tree(self, node: ast.expr) -> Tree:
        match node:
            case ast.BoolOp(op=ast.And()):
                return All(tuple(map(self.tree, node.values)))
            case ast.BoolOp():
                return AnyOf(tuple(map(self.tree, node.values)))
            case ast.UnaryOp(op=ast.Not()):
                return Not(self.tree(node.operand))
            case ast.Compare():
                places = (node.left, *node.comparators)
                parts = [
                    self.comparison(places[i], operator, places[i + 1]) for i, operator in enumerate(node.ops)
                ]
                return parts[0] if len(parts) == 1 else All(tuple(parts))
            case ast.Call():
                return self.call(node)
            case ast.Name():
                return Truth(self.column(node))
        raise _fault(node, "is no comparison")

    def comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Tree:
        if isinstance(operator, ast.In | ast.NotIn):
            found = self.membership(left, right)
            return Not(found) if isinstance(operator, ast.NotIn) else found
        if _is_null(right) or _is_null(left):
            if not isinstance(operator, ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
                raise _fault(right, "null is only compared with is, is not, == or !=")
            empty = IsNull(self.column(left if _is_null(right) else right))
            return empty if isinstance(operator, ast.Is | ast.Eq) else Not(empty)
        sign = _OPERATORS.get(type(operator))
        if sign is None:
            raise _fault(right, "is compared with `is`; write ==, or is null")
        if _is_column(left):
            other = self.column(right) if _is_column(right) else self.value(right)
            return Compare(self.column(left), sign, other)
        if not _is_column(right):
            raise _fault(left, f"should be the name of a column{_QUOTE_HINT}")
        return Compare(self.column(right), _TURNED.get(sign, sign), self.value(left))

    def membership(self, left: ast.expr, right: ast.expr) -> Tree:
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            return OneOf(self.column(left), tuple(map(self.value, right.elts)))
        if isinstance(right, ast.Constant) and isinstance(left, ast.Name):
            return OneOf(self.column(left), (self.value(right),))
        return Holds(self.column(right), self.value(left))

    def call(self, node: ast.Call) -> Tree:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in MATCHES:
            raise _fault(node, f"is none of the functions {', '.join(MATCHES)}")
        if len(node.args) != 2 or node.keywords:
            raise _fault(node, f"{name} takes a column and a text: {name}(prompt, 'x')")
        text = self.value(node.args[1])
        if not isinstance(text, str):
            raise _fault(node, f"{name} takes a text in quotes as its second")
        return Match(name, self.column(node.args[0]), text)

    def column(self, node: ast.expr) -> Column:
        if not isinstance(node, ast.Name):
            raise _fault(node, "should be the name of a column")
        return Column(self.names.get(node.id, node.id))

    def value(self, node: ast.expr) -> Value:
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            node, sign = node.operand, -1
        found = node.value if isinstance(node, ast.Constant) else None
        if isinstance(node, ast.Name) and node.id in ("true", "false"):
            return node.id == "true"
        if isinstance(found, bool) or (isinstance(found, str) and sign == 1):
            return found
        if isinstance(found, int | float):
            return sign * found
        raise _fault(node, "should be a text in quotes, a number, True or False")


def _is_column(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id not in ("true", "false")


def _is_null(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and node.value is None) or (
        isinstance(node, ast.Name) and node.id == "null"
    )


def _fault(node: ast.expr, why: str) -> WhereError:
    return WhereError(f"`{ast.unparse(node)[:60]}` at character {node.col_offset + 1}: {why}")


def columns(tree: Tree) -> Iterator[str]:
    """The names of the columns in the tree, in order; some may come twice."""
    match tree:
        case Not(part):
            yield from columns(part)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from columns(part)
        case Compare(column, _, Column(name)):
            yield column.name
            yield name
        case _:
            yield tree.column.name


def named(tree: Tree, column: str) -> frozenset[Value]:
    """The values that the tree asks this column to equal; what stands below a `not` does not count."""
    match tree:
        case All(parts) | AnyOf(parts):
            return frozenset().union(*(named(part, column) for part in parts))
        case Compare(Column(name), "==", other) if name == column and not isinstance(other, Column):
            return frozenset({other})
        case OneOf(Column(name), values) if name == column:
            return frozenset(values)
    return frozenset()


def parked_by(tree: Tree | None) -> frozenset[FailureKind]:
    """The kinds of parked rows that the expression names: by `error_kind`, or all of them by `status == 'parked'`."""
    if tree is None:
        return frozenset()
    if RowStatus.PARKED.value in named(tree, "status"):
        return frozenset(FailureKind)
    wanted = named(tree, "error_kind")
    return frozenset(
        kind for kind in FailureKind if kind.value in wanted and RULES[kind].rest is RowStatus.PARKED
    )
