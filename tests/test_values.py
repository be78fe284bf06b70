"""Decisions and results are values of their own kind: no two members of a union are equal, whatever they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jobs.retry import GiveUp, Halt, Park, Retry
from runner.providers.conversation import Fetch, Poll
from schemas.failures import RowStatus

ROOT = Path(__file__).parents[1]
HOT = {"schemas.row.Row": "made for each of ten million rows; a dataclass makes reading them 15 % slower"}
"""NamedTuples that may be in a union, because they are made very often: with the reason."""


def modules(root: Path) -> dict[str, ast.Module]:
    """The parsed modules of the three packages by dotted name."""
    paths = (path for package in ("schemas", "jobs", "runner") for path in (root / package).rglob("*.py"))
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text("utf-8")
        )
        for path in paths
    }


def names_of(module: str, tree: ast.Module) -> dict[str, str]:
    """What each name of a module stands for, in dotted form: its own classes, what it imports, and plain aliases."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names[node.name] = f"{module}.{node.name}"
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.setdefault(node.targets[0].id, resolved(node.value, names))
    return names


def resolved(node: ast.expr, names: Mapping[str, str]) -> str:
    """The dotted name that an annotation means; its text where it is no name."""
    first, dot, others = ast.unparse(node).partition(".")
    return names.get(first, first) + dot + others


def named_tuples(trees: Mapping[str, ast.Module]) -> set[str]:
    """Dotted names of all NamedTuple classes."""
    return {
        f"{module}.{node.name}"
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(parent).rpartition(".")[2] == "NamedTuple" for parent in node.bases)
    }


def members(node: ast.expr) -> Iterator[ast.expr]:
    """The members of `A | B | C` and of `Union[A, B]`; the expression itself when it is no union."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from members(node.left)
        yield from members(node.right)
    elif isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] == "Union":
        yield from node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    else:
        yield node


def tuples_in_unions(root: Path) -> set[str]:
    """Dotted names of the NamedTuples that are in a union with anything but None."""
    trees = modules(root)
    tuples = named_tuples(trees)
    found = set()
    for module, tree in trees.items():
        names = names_of(module, tree)
        for node in ast.walk(tree):
            if isinstance(node, (ast.BinOp, ast.Subscript)):
                union = {resolved(member, names) for member in members(node)} - {"None"}
                found |= union & tuples if len(union) > 1 else set()
    return found


def test_no_member_of_a_union_is_a_named_tuple() -> None:
    assert tuples_in_unions(ROOT) == {*HOT}


@pytest.mark.parametrize(
    "union",
    [
        "def f() -> Left | int: ...",
        "def f(x: list[Left | str | None]) -> None: ...",
        "Either = Left | Right",
        "from jobs import left as l\ndef f() -> l.Left | int: ...",
        "from jobs.left import Left as Other\nEither = int | Other",
        "Alias = Left\nx: Alias | bytes",
        "from typing import Union\nEither = Union[Left, int]",
    ],
)
def test_one_that_is_would_be_found(tmp_path: Path, union: str) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "left.py").write_text(
        "from typing import NamedTuple\nclass Left(NamedTuple):\n    x: int\n"
    )
    (tmp_path / "jobs" / "uses.py").write_text(f"from jobs.left import Left\n{union}\n")
    assert tuples_in_unions(tmp_path) == {"jobs.left.Left"}


@pytest.mark.parametrize("other", ["def f() -> Left | None: ...", "def f(x: tuple[Left, int] | str): ..."])
def test_one_that_only_may_be_absent_is_not_found(tmp_path: Path, other: str) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "left.py").write_text(
        f"from typing import NamedTuple\nclass Left(NamedTuple):\n    x: int\n{other}\n"
    )
    assert tuples_in_unions(tmp_path) == set()


def test_values_of_two_kinds_are_never_equal() -> None:
    values = (GiveUp(), Park(), Retry(1.0), Halt(RowStatus.FAILED), Poll("u"), Fetch("u"), (), (1.0,), ("u",))
    assert [left == right for left in values for right in values if left is not right] == [False] * 72
    assert GiveUp() == GiveUp()
    assert Retry(1.0) == Retry(1.0)
