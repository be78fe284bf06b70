"""What is asked of the ledger about plain rows, and how SQLite is to put their values together."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

END, NULL = b"\xff", b"\xfe"
"""What stands for the end of a value and for null: bytes that no UTF-8 text holds."""
INEXACT = b"?"
"""What stands for a float that its product with the power of two does not tell."""


class Kind(Enum):
    TEXT = auto()
    INTEGER = auto()
    REAL = auto()
    DIGEST = auto()


class Column(NamedTuple):
    """sql: of one value. nullable: it may be null. differs: hardly ever the same in two rows."""

    sql: str
    kind: Kind
    nullable: bool = True
    differs: bool = False


OF_ATTEMPTS = {
    "item": Column("a.item", Kind.INTEGER, nullable=False, differs=True),
    "ahead": Column("a.attempt - a.item", Kind.INTEGER, nullable=False),
    "params": Column("a.params", Kind.INTEGER, nullable=False),
    "run": Column("a.run", Kind.INTEGER, nullable=False),
    "outcome_flags": Column("o.flags", Kind.TEXT),
    "image_flags": Column("i.flags", Kind.TEXT),
    "estimated": Column("o.cost_estimated", Kind.INTEGER, nullable=False),
    "revised_prompt": Column("i.revised_prompt", Kind.TEXT),
    "file_name": Column("i.file_name", Kind.TEXT, nullable=False, differs=True),
    "format": Column("i.format", Kind.TEXT, nullable=False),
    "width": Column("i.width", Kind.INTEGER),
    "height": Column("i.height", Kind.INTEGER),
    "bytes": Column("i.bytes", Kind.INTEGER, nullable=False),
    "sha256": Column("i.sha256", Kind.DIGEST, nullable=False, differs=True),
    "http_status": Column("o.http_status", Kind.INTEGER),
    "maybe_billed": Column("o.maybe_billed", Kind.INTEGER, nullable=False),
    "cost_usd": Column("o.cost_usd", Kind.REAL),
    "input_tokens": Column("o.input_tokens", Kind.INTEGER),
    "output_tokens": Column("o.output_tokens", Kind.INTEGER),
    "request_id": Column("o.request_id", Kind.TEXT),
    "task_id": Column("o.task_id", Kind.TEXT),
    "created": Column("o.created * 1000", Kind.INTEGER),
    "started_at": Column("a.sent_ms", Kind.INTEGER, nullable=False),
    "finished_at": Column("o.finished_ms", Kind.INTEGER, nullable=False),
    "latency_s": Column("o.latency_s", Kind.REAL),
}
OF_ITEMS = {
    "row_id": Column("t.row_id", Kind.TEXT, nullable=False, differs=True),
    "prompt": Column("t.prompt", Kind.TEXT, nullable=False, differs=True),
}
COLUMNS = OF_ATTEMPTS | OF_ITEMS
FROM = (
    "FROM attempts a JOIN outcomes o USING (attempt) "
    "JOIN images i ON i.attempt = a.attempt AND i.idx = 0 {items}"
    "WHERE a.item {which} AND a.n = 1 AND o.status = 'succeeded' AND a.indexes IS NULL AND a.prompt IS NULL "
    "AND (NOT EXISTS (SELECT 1 FROM pruned) OR NOT EXISTS (SELECT 1 FROM pruned p WHERE p.attempt = a.attempt))"
)
SENT = "(SELECT count(*) FROM attempts WHERE item {which})"
SENT_AGAIN = "SELECT item FROM attempts WHERE item {which} GROUP BY item HAVING count(*) > 1"
ONE_BY_ONE = "SELECT {sql} FROM json_each(?) JOIN outcomes o ON o.attempt = value ORDER BY key"
RANGE, LIST = "BETWEEN :low AND :high", "IN (SELECT value FROM json_each(:list))"


def aggregate(name: str, column: Column) -> str:
    """The SQL that puts a column's values into one string."""
    value, end = column.sql, f"x'{END.hex()}'"
    if column.kind is Kind.DIGEST:
        return f"CAST(group_concat({value}, '') AS BLOB)"
    if column.kind is Kind.REAL:
        scaled = f"CAST({value} * :{name}_scale AS INTEGER)"
        value = f"CASE WHEN {scaled} / :{name}_scale IS {value} THEN {scaled} ELSE '{INEXACT.decode()}' END"
    if column.nullable:
        value = f"coalesce({value}, x'{NULL.hex()}')"
    return f"CAST(group_concat({value}, {end}) AS BLOB)"
