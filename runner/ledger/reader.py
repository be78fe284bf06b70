"""Read-only connections to the ledger."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.ledger import schema
from schemas.errors import JobError
from schemas.output_folder import LEDGER_NAME


def open_reader(out: Path) -> sqlite3.Connection:
    """A read-only connection, also to a folder on a medium where nothing can be written, for one thread at a time.

    Raises JobError when there is no ledger (exit 2), it cannot be read (7) or opened (9).
    """
    path = out / LEDGER_NAME
    if not path.is_file():
        raise JobError(
            f"{out} is not an imagemill folder: no {LEDGER_NAME} in it", fix="name the --out of a run"
        )
    frozen = not (os.access(out, os.W_OK) or path.with_name(f"{path.name}-wal").exists())
    how = "mode=ro&immutable=1" if frozen else "mode=ro"
    try:
        address = f"{path.resolve().as_uri()}?{how}"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA busy_timeout=10000")
        connection.execute("SELECT count(*) FROM meta").fetchone()
        schema.check_version(connection, out)
    except schema.DAMAGE as error:
        raise schema.unusable(out, error) from error
    return connection


@contextmanager
def reading(out: Path) -> Iterator[sqlite3.Connection]:
    """The same for a block, in which damage that SQLite meets raises JobError too."""
    connection = open_reader(out)
    try:
        yield connection
    except sqlite3.DatabaseError as error:
        raise schema.unusable(out, error) from error
    finally:
        connection.close()


def next_number(connection: sqlite3.Connection, table: str, column: str) -> int:
    """The number that a new record of the table gets."""
    return int(connection.execute(f"SELECT coalesce(max({column}) + 1, 0) FROM {table}").fetchone()[0])
