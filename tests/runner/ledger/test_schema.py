"""The ledger's tables: made whole, brought up to date, told apart by version and kind, and checked to the last record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.ledger import schema
from schemas.errors import ExitCode, JobError
from schemas.output_folder import LEDGER_NAME

OUT = Path("runs/some")


def empty() -> sqlite3.Connection:
    """A database in memory, which commits nothing by itself."""
    return sqlite3.connect(":memory:", isolation_level=None)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A new ledger."""
    with closing(empty()) as made:
        schema.create_tables(made, simulated=False)
        yield made


def tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in found}


# Making and bringing up to date

OLDER = {
    1: ("ALTER TABLE attempts DROP COLUMN indexes", "DROP TABLE tasks", "DROP TABLE task_waits"),
    2: (
        "ALTER TABLE attempts DROP COLUMN prompt",
        "ALTER TABLE runs DROP COLUMN command",
        "DROP TABLE pruned",
    ),
    3: (
        "DROP TABLE aliases",
        "ALTER TABLE items DROP COLUMN digest",
        "ALTER TABLE params DROP COLUMN digest",
        "DROP TABLE spooled",
        "DROP TABLE bodies",
    ),
    4: ("DROP TABLE unfetched",),
}
"""What a version of the schema had not yet, beside what later ones had not."""


def aged(connection: sqlite3.Connection, version: int) -> None:
    """Make a new ledger one of this version."""
    for statements in (OLDER[each] for each in sorted(OLDER, reverse=True) if each >= version):
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={version}")


@pytest.mark.parametrize("simulated", [True, False])
def test_a_new_ledger_has_its_tables_version_and_kind(simulated: bool) -> None:
    with closing(empty()) as connection:
        assert schema.version_of(connection) == 0
        schema.create_tables(connection, simulated=simulated)
        assert schema.has_expected_columns(connection)
        assert not connection.in_transaction
        assert schema.version_of(connection) == schema.SCHEMA_VERSION
        assert schema.was_simulated(connection) is simulated
        assert schema.read_meta(connection, "nothing") is None


def test_a_ledger_is_laid_out_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_NAME
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE pruned (x)")  # the last that would be made
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.create_tables(connection, simulated=False)
    with closing(sqlite3.connect(path)) as connection:
        assert (tables(connection), schema.version_of(connection)) == ({"pruned"}, 0)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_an_older_ledger_gets_what_it_lacks_and_keeps_what_it_holds(
    connection: sqlite3.Connection, version: int
) -> None:
    aged(connection, version)
    connection.execute(
        "INSERT INTO runs (run, run_id, started_ms, version, endpoint) VALUES (0, 'r', 1, '0', 'e')"
    )
    assert schema.has_expected_columns(connection)
    schema.migrate(connection)
    assert schema.has_expected_columns(connection)
    assert not connection.in_transaction
    assert schema.version_of(connection) == schema.SCHEMA_VERSION
    assert connection.execute("SELECT * FROM runs").fetchall() == [(0, "r", 1, "0", "e", None)]


@pytest.mark.parametrize("version", [0, schema.SCHEMA_VERSION, schema.SCHEMA_VERSION + 1])
def test_a_file_without_tables_and_ledgers_of_today_and_later_are_left_alone(
    connection: sqlite3.Connection, version: int
) -> None:
    aged(connection, 2)
    connection.execute(f"PRAGMA user_version={version}")
    before = connection.total_changes, tables(connection)
    schema.migrate(connection)
    assert (connection.total_changes, tables(connection)) == before
    assert schema.version_of(connection) == version


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_an_older_ledger_is_read_as_if_it_had_what_it_lacks(
    connection: sqlite3.Connection, version: int
) -> None:
    aged(connection, version)
    connection.execute(
        "INSERT INTO items (item, fingerprint, row_id, prompt) VALUES (0, zeroblob(16), 'a', 'a fox')"
    )
    schema.complete_for_reading(connection)
    assert connection.execute("SELECT item, row_id, digest FROM items").fetchall() == [(0, "a", None)]
    for table in ("unfetched", "spooled", "bodies", "pruned", "task_waits"):
        assert connection.execute(f"SELECT * FROM {table}").fetchall() == []
    assert schema.has_expected_columns(connection)
    assert schema.version_of(connection) == version


# Refusals


def test_the_ledger_of_another_imagemill_is_refused(connection: sqlite3.Connection) -> None:
    schema.check_version(connection, OUT)
    connection.execute("PRAGMA user_version=99")
    with pytest.raises(JobError) as refused:
        schema.check_version(connection, OUT)
    assert refused.value.message == (
        f"runs/some/{LEDGER_NAME} has schema version 99, this imagemill reads version {schema.SCHEMA_VERSION}"
    )
    assert refused.value.exit_code is ExitCode.USAGE
    assert refused.value.fix == "use the imagemill that made this folder, or choose another --out"


@pytest.mark.parametrize(("version", "run"), [(0, False), (1, True), (2, True), (4, True), (6, False)])
def test_only_an_older_ledger_is_brought_up_to_date_by_a_run(
    connection: sqlite3.Connection, version: int, run: bool
) -> None:
    connection.execute(f"PRAGMA user_version={version}")
    with pytest.raises(JobError) as refused:
        schema.check_version(connection, OUT)
    assert (refused.value.fix == "bring it up to date: imagemill run runs/some/job.toml") is run


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (True, "runs/some was made by a simulated run; a real run does not mix with it"),
        (False, "runs/some was made by a real run; a simulated run does not mix with it"),
    ],
)
def test_a_folder_stays_of_its_kind(made: bool, told: str) -> None:
    with closing(empty()) as connection:
        schema.create_tables(connection, simulated=made)
        schema.check_kind(connection, OUT, simulated=made)
        with pytest.raises(JobError) as refused:
            schema.check_kind(connection, OUT, simulated=not made)
    assert (refused.value.message, refused.value.exit_code) == (told, ExitCode.USAGE)
    assert refused.value.fix == "choose another --out"


@pytest.mark.parametrize("spoil", ["DELETE FROM meta", "UPDATE meta SET value = '2'"])
def test_a_ledger_that_does_not_say_its_kind_is_damaged(connection: sqlite3.Connection, spoil: str) -> None:
    connection.execute(spoil)
    with pytest.raises(sqlite3.DatabaseError, match="does not say whether its runs were simulated"):
        schema.was_simulated(connection)


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("told")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "code",
    [
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
        *(sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
        *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_READONLY_DIRECTORY),
    ],
)
def test_what_this_machine_refuses_is_no_damage(code: int) -> None:
    told = schema.ledger_error(OUT, sqlite_error(code))
    assert (told.message, told.exit_code) == (f"runs/some/{LEDGER_NAME} cannot be used: told", ExitCode.LOCAL)
    assert told.fix == "free some space, or see to the folder's permissions"


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_CORRUPT),
        sqlite_error(sqlite3.SQLITE_NOTADB),
        sqlite_error(sqlite3.SQLITE_ERROR),
        sqlite3.DatabaseError("told"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "told"),
    ],
)
def test_anything_else_that_sqlite_meets_is_damage(error: Exception) -> None:
    told = schema.ledger_error(OUT, error)
    assert told.exit_code is ExitCode.DAMAGED
    assert told.message == f"runs/some/{LEDGER_NAME} cannot be read: {error}"
    assert told.fix == "restore it from a copy; the images beside it are untouched"


def test_a_new_ledger_does_not_take_the_place_of_one_that_knew_images(tmp_path: Path) -> None:
    schema.refuse_new_ledger(tmp_path)
    (tmp_path / "images" / "0000").mkdir(parents=True)
    schema.refuse_new_ledger(tmp_path)
    (tmp_path / "images" / "0000" / "a.png").touch()
    with pytest.raises(JobError) as refused:
        schema.refuse_new_ledger(tmp_path)
    assert refused.value.exit_code is ExitCode.DAMAGED
    assert refused.value.message == (
        f"{tmp_path} holds images but no {LEDGER_NAME}, or an empty one: what was paid for cannot be told"
    )
    assert "put the ledger back (with its -wal file, if it has one)" in refused.value.fix


# Checking

SOUND = (
    "INSERT INTO runs VALUES (0, 'r', 1, '0', 'e', NULL)",
    "INSERT INTO params VALUES (0, '{}', NULL)",
    "INSERT INTO items VALUES (0, zeroblob(16), 'a', 'a fox', NULL)",
    "INSERT INTO items VALUES (1, zeroblob(16), 'b', 'an owl', NULL)",
    "INSERT INTO attempts VALUES (0, 0, 0, 0, 1, 2, NULL, NULL, NULL)",
    "INSERT INTO attempts VALUES (1, 1, 0, 0, 1, 2, NULL, NULL, NULL)",
    "INSERT INTO outcomes (attempt, finished_ms, status, maybe_billed, flags) VALUES (0, 3, 'succeeded', 0, '[\"x\"]')",
    "INSERT INTO outcomes (attempt, finished_ms, status, kind, maybe_billed) VALUES (1, 3, 'failed', 'moderation', 0)",
    "INSERT INTO images VALUES (0, 0, 'images/a.png', 'png', 1, 1, 9, zeroblob(32), NULL, '[]')",
    "INSERT INTO tasks VALUES (1, 't', NULL, 2)",
    "INSERT INTO pruned VALUES (0, 0, 5)",
)
"""A row that succeeded and whose image was pruned, and one that failed as a task."""


@pytest.fixture
def sound(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A ledger in which everything fits."""
    for statement in SOUND:
        connection.execute(statement)
    return connection


def test_a_sound_ledger_has_no_problems(sound: sqlite3.Connection) -> None:
    assert list(schema.problems(sound)) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("INSERT INTO outcomes (attempt, finished_ms, status, maybe_billed) VALUES (7, 3, 'failed', 0)",
         "attempt 7 has an outcome and no intent"),
        ("INSERT INTO images VALUES (1, 0, 'b.png', 'png', 1, 1, 9, zeroblob(32), NULL, NULL)",
         "attempt 1 has an image and no success"),
        ("UPDATE outcomes SET status = 'succeeded', kind = NULL WHERE attempt = 1",
         "attempt 1 is a success without an image"),
        ("INSERT INTO tasks VALUES (7, 't', NULL, 2)", "attempt 7 has a task and no intent"),
        ("INSERT INTO pruned VALUES (0, 1, 5)", "attempt 0 has a pruned image that it never had"),
        ("INSERT INTO pruned VALUES (1, 0, 5)", "attempt 1 has a pruned image that it never had"),
        ("UPDATE attempts SET item = 7 WHERE attempt = 1", "attempt 1 has no row"),
        ("UPDATE attempts SET params = 7 WHERE attempt = 1", "attempt 1 has no parameters"),
        ("UPDATE attempts SET run = 7 WHERE attempt = 1", "attempt 1 has no run"),
        ("UPDATE outcomes SET status = 'lost' WHERE attempt = 1", "attempt 1 has an unknown outcome"),
        ("UPDATE outcomes SET kind = 'lost' WHERE attempt = 1", "attempt 1 has an unknown outcome"),
        ("UPDATE outcomes SET flags = 'x' WHERE attempt = 1", "attempt 1 has flags that are no JSON"),
        ("UPDATE images SET flags = '[' WHERE attempt = 0", "attempt 0 has flags that are no JSON"),
        ("UPDATE params SET body = '{'", "parameters 0 are no JSON"),
        ("UPDATE items SET fingerprint = zeroblob(15) WHERE item = 1", "row 1 has no whole fingerprint"),
        ("UPDATE items SET fingerprint = '0123456789abcdef' WHERE item = 1", "row 1 has no whole fingerprint"),
        ("UPDATE images SET sha256 = zeroblob(31)", "attempt 0 has no whole digest"),
        ("UPDATE images SET sha256 = '0123456789abcdef0123456789abcdef'", "attempt 0 has no whole digest"),
        ("INSERT INTO bodies VALUES ('quarantine/x.body', 3, zeroblob(31))", "quarantine/x.body has no whole digest"),
        ("UPDATE items SET digest = zeroblob(8) WHERE item = 1", "row 1 was changed"),
        ("UPDATE params SET digest = zeroblob(8)", "parameters 0 were changed"),
        ("ALTER TABLE meta ADD COLUMN more", "its tables are not laid out as they were made"),
        ("DROP TABLE images", "its tables are not laid out as they were made"),
    ],
)  # fmt: skip
def test_what_cannot_be_in_a_whole_ledger_is_told(sound: sqlite3.Connection, spoil: str, told: str) -> None:
    sound.execute(spoil)
    assert list(schema.problems(sound)) == [told]


def test_every_problem_is_told_not_only_the_first(sound: sqlite3.Connection) -> None:
    sound.execute("UPDATE attempts SET run = 7")
    sound.execute("UPDATE params SET body = '{'")
    assert list(schema.problems(sound)) == ["attempt 0 has no run", "parameters 0 are no JSON"]


def test_pages_that_do_not_fit_are_told_in_the_words_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_NAME
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.create_tables(connection, simulated=False)
        for statement in SOUND:
            connection.execute(statement)
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'attempts_by_item'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    whole = path.read_bytes()
    end = page * size
    path.write_bytes(whole[: end - 64] + bytes(64) + whole[end:])
    with closing(sqlite3.connect(path)) as connection:
        found = list(schema.problems(connection))
        (first,) = connection.execute("PRAGMA integrity_check(20)").fetchone()
    assert found[0] == f"SQLite says: {first}" != "SQLite says: ok"


def test_a_file_that_is_no_database_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_NAME
    path.write_bytes(b"<html>" * 1000)
    with closing(sqlite3.connect(path)) as connection:
        assert list(schema.problems(connection)) == ["cannot be read: file is not a database"]
