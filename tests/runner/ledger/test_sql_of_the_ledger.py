"""SQL to the ledger stands in `runner.ledger` and nowhere else; nobody outside holds its connection."""

from __future__ import annotations

import ast
import re
from importlib.resources import files
from pathlib import Path

import runner

PACKAGE = Path(runner.__file__).parent
TABLES = re.findall(r"CREATE TABLE (\w+)", files("runner.ledger").joinpath("schema.sql").read_text())
SQL = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+(?:{'|'.join(TABLES)})\b")


def outside() -> dict[str, ast.Module]:
    """The modules of all other packages, by path."""
    modules = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    return {
        name: ast.parse(path.read_text()) for name, path in modules.items() if not name.startswith("ledger/")
    }


def test_the_tables_are_known() -> None:
    assert {"attempts", "items", "outcomes", "images", "runs"} <= {*TABLES}
    assert SQL.search("INSERT INTO runs VALUES (?)")
    assert SQL.search("SELECT item FROM attempts WHERE item = ?")


def test_no_module_outside_the_ledger_speaks_sql_to_it() -> None:
    found = {
        name
        for name, module in outside().items()
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value)
    }
    assert not found


def test_no_module_outside_the_ledger_holds_its_connection() -> None:
    names = {"connection_of", "open_reader", "create_or_open", "record_now", "_connection"}
    ledger = {"runner.ledger.reader", "runner.ledger.writer", "runner.ledger.ledger_file"}
    found = {
        name
        for name, module in outside().items()
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module in ledger
        if names & {alias.name for alias in node.names}
    }
    assert not found
