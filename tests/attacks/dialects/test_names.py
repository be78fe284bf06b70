"""Only tables name a service: code asks a row or a profile (docstrings and comments may name one to explain a fact)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from runner.simulator.dialects import DIALECTS as SIMULATED
from runner.simulator.dialects import OFFICIAL, relays, servers
from schemas import providers, request_rules, task_dialects
from schemas.providers import PROFILES
from schemas.task_dialects import AUTO, DIALECTS

TABLES = {Path(str(module.__file__)) for module in (task_dialects, providers, request_rules, relays, servers)}
NOT_A_SERVICE = {("manifest", "azure")}
"""(folder, text): the scheme of an object store's URLs."""
NAMES = (PROFILES.keys() | DIALECTS.keys() | SIMULATED.keys()) - {AUTO.name, OFFICIAL}
_NAMED = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, sorted(NAMES)))})(?![\w./-])")


def _texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Texts that are no docstrings: a text that is a statement of its own explains something."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node


def _named(source: str) -> list[tuple[int, str]]:
    """Lines and texts in which a service is named."""
    return [
        (node.lineno, str(node.value)) for node in _texts(ast.parse(source)) if _NAMED.search(str(node.value))
    ]


def test_no_module_but_the_tables_names_a_service(checkout: Path) -> None:
    found = [
        f"{path.relative_to(checkout)}:{line}: {text[:80]!r}"
        for package in ("schemas", "jobs", "runner")
        for path in sorted((checkout / package).rglob("*.py"))
        if path not in TABLES
        for line, text in _named(path.read_text("utf-8"))
        if (path.parent.name, text) not in NOT_A_SERVICE
    ]
    assert found == []


def test_it_sees_a_name_where_code_holds_one() -> None:
    assert _named('if name == "evolink":\n    pass') == [(1, "evolink")]
    assert _named('HELP = f"default {x}; azure, …"') == [(1, "; azure, …")]
    assert _named('"""The relay evolink."""\n"x-evolink-id"') == []
