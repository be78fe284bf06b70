"""The schema of the ledger: creates its tables, migrates those of an older imagemill, and checks a whole ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

from schemas.errors import ExitCode, JobError
from schemas.failures import FailureKind, RowStatus
from schemas.output_folder import IMAGES, JOB_HEADER, JOB_NAME, LEDGER_NAME, QUARANTINE, RESULTS_NAME

SCHEMA_VERSION = 5
OLDEST_READ = 3
"""Ledgers of 0.1.0 can be looked at as they are; a run brings them up to date."""
SQLITE_VERSION = sqlite3.sqlite_version

DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What Python raises for a damaged file; UnicodeDecodeError when SQLite's message quotes bytes that are no text."""

_TABLES = (
    "SELECT m.name, c.name, c.type, c.pk FROM main.sqlite_master m, pragma_table_info(m.name, 'main') c "
    "WHERE m.type = 'table' "
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
    4: (("items ADD COLUMN digest BLOB", "params ADD COLUMN digest BLOB"), ("aliases", "spooled", "bodies")),
    5: ((), ("unfetched",)),
}
"""Schema version -> the columns and tables that it added."""


def _statements() -> list[str]:
    return files("runner.ledger").joinpath("schema.sql").read_text(encoding="utf-8").split(";\n")


def create_tables(connection: sqlite3.Connection, *, simulated: bool) -> None:
    """Make the tables of a new ledger, all or none."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _statements():
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('simulated', ?)", (str(int(simulated)),))
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def migrate(connection: sqlite3.Connection) -> None:
    """Add columns and tables that an older imagemill did not have. Existing records are not changed."""
    version = version_of(connection)
    if not 0 < version < SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    columns, tables = _added_since(version)
    for statement in (*(f"ALTER TABLE {column}" for column in columns), *map(_made, tables)):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def complete_for_reading(connection: sqlite3.Connection) -> None:
    """Let a ledger of an older imagemill seem up to date to this connection, which cannot write to it.

    What it lacks is empty: tables and views of the connection's own stand in front of the file's.
    """
    columns, tables = _added_since(version_of(connection))
    lacking: dict[str, list[str]] = {}
    for table, _, _, column, *_ in map(str.split, columns):
        lacking.setdefault(table, []).append(column)
    connection.execute("PRAGMA temp_store=MEMORY")
    for table, names in lacking.items():
        empty = ", ".join(f"NULL AS {name}" for name in names)
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {empty} FROM main.{table}")
    for table in tables:
        connection.execute(_made(table).replace("CREATE TABLE", "CREATE TEMP TABLE"))


def _added_since(version: int) -> tuple[list[str], list[str]]:
    """Columns and tables that a ledger of this version lacks."""
    added = [brought for since, brought in _ADDED.items() if since > version]
    return [column for columns, _ in added for column in columns], [
        table for _, tables in added for table in tables
    ]


def _made(table: str) -> str:
    """The statement that makes this table."""
    return next(text for text in _statements() if f"CREATE TABLE {table} " in text)


def version_of(connection: sqlite3.Connection) -> int:
    """The schema's version; 0 for a file without tables."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def has_expected_columns(connection: sqlite3.Connection) -> bool:
    """Whether the tables are those of its version, column by column. Raises one of `DAMAGE` when that cannot be read."""
    model = sqlite3.connect(":memory:", isolation_level=None)
    try:
        create_tables(model, simulated=False)
        columns, tables = _added_since(version_of(connection))
        for table, _, _, column, *_ in map(str.split, columns):
            model.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        for table in tables:
            model.execute(f"DROP TABLE {table}")
        return connection.execute(_TABLES).fetchall() == model.execute(_TABLES).fetchall()
    finally:
        model.close()


def check_version(connection: sqlite3.Connection, out: Path, *, oldest: int = SCHEMA_VERSION) -> None:
    """Raises JobError (exit 2) for the ledger of another version of imagemill. oldest: the first that will do."""
    version = version_of(connection)
    if oldest <= version <= SCHEMA_VERSION:
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


def ledger_error(out: Path, error: Exception) -> JobError:
    """The error for the user when SQLite fails: exit 9 when this machine refuses, exit 7 when the file is damaged."""
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


_LEFT_BY_RUNS = {
    "images": f"{IMAGES}/*/*",
    "paid bodies": f"{QUARANTINE}/*",
    "spooled answers": "spool-*.tar",
    "a results table": RESULTS_NAME,
}
"""What only a run that knew its ledger leaves, and where."""


def refuse_new_ledger(out: Path) -> None:
    """Raises JobError (exit 7) before a new ledger takes the place of one that knew what was paid for."""
    left = [what for what, pattern in _LEFT_BY_RUNS.items() if any(out.glob(pattern))]
    if not left and not _is_ours(out / JOB_NAME):
        return
    holds = ", ".join(left or [f"the {JOB_NAME} of a run"])
    raise JobError(
        f"{out} holds {holds} but no {LEDGER_NAME}, or an empty one: what was paid for cannot be told",
        fix="put the ledger back (with its -wal file, if it has one), or take in what is there: "
        f"imagemill verify {out} --repair; to begin anew, choose another --out",
        exit_code=ExitCode.DAMAGED,
    )


def _is_ours(job_file: Path) -> bool:
    """Whether a job file was written by a run, and is not a user's own."""
    try:
        with job_file.open(encoding="utf-8", errors="replace") as file:
            return file.readline() == JOB_HEADER
    except OSError:
        return False


def read_meta(connection: sqlite3.Connection, key: str) -> str | None:
    """The value of a `meta` key; None when it was never set."""
    row = connection.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
    return row[0] if row else None


def was_simulated(connection: sqlite3.Connection) -> bool:
    """Whether the folder's runs were simulated ones. Raises sqlite3.DatabaseError when the ledger does not say."""
    known = {"0": False, "1": True}
    value = read_meta(connection, "simulated")
    if value not in known:
        raise sqlite3.DatabaseError("it does not say whether its runs were simulated")
    return known[value]


def _quoted(names: Iterable[str]) -> str:
    return ",".join(f"'{name}'" for name in names)


_STATUSES = _quoted(status for status in RowStatus)
_KINDS = _quoted(kind for kind in FailureKind)
_INCONSISTENT = {
    "attempt {} has an outcome and no intent": (
        "SELECT attempt FROM outcomes WHERE attempt NOT IN (SELECT attempt FROM attempts)"
    ),
    "attempt {} has an image and no success": (
        "SELECT attempt FROM images WHERE attempt NOT IN (SELECT attempt FROM outcomes WHERE status = 'succeeded')"
    ),
    "attempt {} is a success without an image": (
        "SELECT attempt FROM outcomes WHERE status = 'succeeded' AND attempt NOT IN (SELECT attempt FROM images)"
    ),
    "attempt {} has a task and no intent": (
        "SELECT attempt FROM tasks WHERE attempt NOT IN (SELECT attempt FROM attempts)"
    ),
    "attempt {} has images to fetch and no intent": (
        "SELECT attempt FROM unfetched WHERE attempt NOT IN (SELECT attempt FROM attempts)"
    ),
    "attempt {} has a pruned image that it never had": (
        "SELECT attempt FROM pruned WHERE NOT EXISTS "
        "(SELECT 1 FROM images i WHERE i.attempt = pruned.attempt AND i.idx = pruned.idx)"
    ),
    "row {} stands for another and is not there": "SELECT item FROM aliases WHERE item NOT IN (SELECT item FROM items)",
    "attempt {} has no row": "SELECT attempt FROM attempts WHERE item NOT IN (SELECT item FROM items)",
    "attempt {} has no parameters": "SELECT attempt FROM attempts WHERE params NOT IN (SELECT params FROM params)",
    "attempt {} has no run": "SELECT attempt FROM attempts WHERE run NOT IN (SELECT run FROM runs)",
    "attempt {} has an unknown outcome": (
        f"SELECT attempt FROM outcomes WHERE status NOT IN ({_STATUSES}) OR kind NOT IN ({_KINDS})"
    ),
    "attempt {} has flags that are no JSON": (
        "SELECT attempt FROM outcomes WHERE flags IS NOT NULL AND NOT json_valid(flags) "
        "UNION ALL SELECT attempt FROM images WHERE flags IS NOT NULL AND NOT json_valid(flags)"
    ),
    "parameters {} are no JSON": "SELECT params FROM params WHERE NOT json_valid(body)",
    "row {} has no whole fingerprint": (
        "SELECT item FROM items WHERE typeof(fingerprint) <> 'blob' OR length(fingerprint) <> 16"
    ),
    "attempt {} has no whole digest": (
        "SELECT attempt FROM images WHERE typeof(sha256) <> 'blob' OR length(sha256) <> 32"
    ),
    "{} has no whole digest": "SELECT file_name FROM bodies WHERE typeof(sha256) <> 'blob' OR length(sha256) <> 32",
    "row {} was changed": "SELECT item FROM items WHERE digest IS NOT NULL AND digest IS NOT text_digest(row_id, prompt)",
    "parameters {} were changed": "SELECT params FROM params WHERE digest IS NOT NULL AND digest IS NOT text_digest(body)",
}
"""Inconsistency -> a query for the number of the first record that has it."""


def text_digest(*texts: str) -> bytes:
    """What tells these texts from any others."""
    whole = "\0".join(map(str, texts)).encode("utf-8", "surrogatepass")
    return blake2b(whole, digest_size=8).digest()


def problems(connection: sqlite3.Connection) -> Iterator[str]:
    """What cannot be in a whole ledger, a line each; every page and every record is read."""
    connection.create_function("text_digest", -1, text_digest, deterministic=True)
    try:
        for (line,) in connection.execute("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield f"SQLite says: {line}"
        if not has_expected_columns(connection):
            yield "its tables are not laid out as they were made"
            return
        for text, query in _INCONSISTENT.items():
            row = connection.execute(f"{query} LIMIT 1").fetchone()
            if row is not None:
                yield text.format(row[0])
    except DAMAGE as error:
        yield f"cannot be read: {error}"
