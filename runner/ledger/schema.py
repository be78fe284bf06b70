"""How a ledger is laid out: making its tables, bringing those of an older imagemill up to date, and checking them."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from pathlib import Path

from schemas.errors import ExitCode, JobError
from schemas.output_folder import LEDGER_NAME

SCHEMA_VERSION = 3

DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What Python raises over a damaged file; the latter when SQLite's message quotes bytes that are no text."""

_TABLES = (
    "SELECT m.name, c.name, c.type, c.pk FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' "
    "ORDER BY m.name, c.cid"
)
_MACHINE_REFUSES = frozenset(
    {
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
        *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
    }
)

_ADDED = {
    2: (("attempts ADD COLUMN indexes TEXT",), ("tasks", "task_waits")),
    3: (("attempts ADD COLUMN prompt TEXT", "runs ADD COLUMN command TEXT"), ("pruned",)),
}
"""What each version of the schema brought: columns, and tables."""


def _statements() -> list[str]:
    return files("runner.ledger").joinpath("schema.sql").read_text(encoding="utf-8").split(";\n")


def lay_out(connection: sqlite3.Connection, *, simulated: bool) -> None:
    """Make the tables of a new ledger, all or none."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _statements():
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('simulated', ?)", (str(int(simulated)),))
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Add what this imagemill keeps and an older one did not. Nothing that stands there is changed."""
    version = version_of(connection)
    if not 0 < version < SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for since, (columns, tables) in _ADDED.items():
        if since > version:
            made = (text for text in _statements() for name in tables if f"CREATE TABLE {name} " in text)
            for statement in (*(f"ALTER TABLE {column}" for column in columns), *made):
                connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def version_of(connection: sqlite3.Connection) -> int:
    """The schema's version; 0 for a file without tables."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def has_its_columns(connection: sqlite3.Connection) -> bool:
    """Whether the tables are those of `schema.sql`, column by column. Raises one of `DAMAGE` when that cannot be read."""
    model = sqlite3.connect(":memory:", isolation_level=None)
    try:
        lay_out(model, simulated=False)
        return connection.execute(_TABLES).fetchall() == model.execute(_TABLES).fetchall()
    finally:
        model.close()


def check_version(connection: sqlite3.Connection, out: Path) -> None:
    """Raises JobError (exit 2) for the ledger of another version of imagemill."""
    version = version_of(connection)
    if version == SCHEMA_VERSION:
        return
    fix = "use the imagemill that made this folder, or choose another --out"
    if 0 < version < SCHEMA_VERSION:
        fix = f"bring it up to date: imagemill run {out / 'job.toml'}"
    raise JobError(
        f"{out / LEDGER_NAME} has schema version {version}, this imagemill reads version {SCHEMA_VERSION}",
        fix=fix,
    )


def check_kind(connection: sqlite3.Connection, out: Path, *, simulated: bool) -> None:
    """Raises JobError (exit 2) when the folder belongs to the other kind of run."""
    made_simulated = was_simulated(connection)
    if made_simulated != simulated:
        made, now = ("simulated", "real") if made_simulated else ("real", "simulated")
        raise JobError(
            f"{out} was made by a {made} run; a {now} run does not mix with it", fix="choose another --out"
        )


def unusable(out: Path, error: Exception) -> JobError:
    """What a user is told when SQLite gives up: exit 9 when this machine refuses, exit 7 when the file is damaged."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _MACHINE_REFUSES:
        return JobError(
            f"{out / LEDGER_NAME} cannot be used: {error}",
            fix="free some space, or see to the folder's permissions",
            exit_code=ExitCode.LOCAL,
        )
    return JobError(
        f"{out / LEDGER_NAME} cannot be read: {error}",
        fix="restore it from a copy; the images beside it are untouched",
        exit_code=ExitCode.DAMAGED,
    )


def refuse_to_forget(out: Path) -> None:
    """Raises JobError (exit 7) before a new ledger takes the place of one that knew what was paid for."""
    if any((out / "images").glob("*/*")):
        raise JobError(
            f"{out} holds images but no {LEDGER_NAME}, or an empty one: what was paid for cannot be told",
            fix="put the ledger back (with its -wal file, if it has one), or choose another --out",
            exit_code=ExitCode.DAMAGED,
        )


def read_meta(connection: sqlite3.Connection, key: str) -> str | None:
    """The value of a `meta` key; None when it was never set."""
    row = connection.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
    return row[0] if row else None


def was_simulated(connection: sqlite3.Connection) -> bool:
    """Whether the folder's runs were simulated ones. Raises sqlite3.DatabaseError when the ledger does not say."""
    known = {"0": False, "1": True}
    told = read_meta(connection, "simulated")
    if told not in known:
        raise sqlite3.DatabaseError("it does not say whether its runs were simulated")
    return known[told]
