"""Rows with one request and one image: column by column they are what the fold of their attempts says, value by value."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.state import fold
from runner.ledger import schema
from runner.ledger.attempts import AttemptReader
from runner.ledger.result_query import ResultQuery
from runner.results.columns import FoundRows, SingleRowReader
from runner.results.rows import Facts, row_values
from schemas.outcome import ABSENT
from schemas.request import ImageRequest
from schemas.results import RESULTS_SCHEMA
from schemas.row import Row

COLUMNS = {
    "items": ("item", "fingerprint", "row_id", "prompt"),
    "attempts": ("attempt", "item", "run", "params", "n", "sent_ms", "indexes", "prompt"),
    "outcomes": (
        *("attempt", "finished_ms", "status", "kind", "http_status", "maybe_billed", "cost_usd"),
        *("cost_estimated", "created", "request_id", "task_id", "input_tokens", "output_tokens"),
        *("latency_s", "flags"),
    ),
    "images": (
        *("attempt", "idx", "file_name", "format", "width", "height", "bytes", "sha256"),
        *("revised_prompt", "flags"),
    ),
}
Story = dict[str, Any]

TEXTS = st.one_of(
    st.sampled_from(
        ["", '"', '""', "\n", "\r\n", "\0", "a\0b", ",", "?", "'", "\U0001f98a", "ÿþ", "\x7f\x80", "é" * 5000]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
FLOATS = st.one_of(
    st.sampled_from(
        [0.0, -0.0, 0.1, 0.04, 1e-17, 5e-324, 1e22, 0.1 + 0.2, 1.7976931348623157e308, -3.7, 4.0]
    ),
    st.floats(0.5, 600),
    st.floats(allow_nan=False, allow_infinity=False),
)
NUMBERS = st.one_of(st.sampled_from([0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]), st.integers(0, 2000))
FLAGS = st.sampled_from([None, "[]", '["size_mismatch"]', '["format_mismatch", "more"]'])


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


STORIES = st.fixed_dictionaries(
    {
        "end": st.sampled_from(["plain"] * 6 + ["failed", "twice", "pruned", "some", "other prompt", "open"]),
        "run": st.integers(0, 2),
        "params": st.integers(0, 3),
        "sent_ms": st.integers(0, 2**45),
        "finished_ms": st.integers(0, 2**45),
        "http_status": _maybe(st.integers(0, 599)),
        "maybe_billed": st.integers(0, 1),
        "cost_usd": _maybe(FLOATS),
        "cost_estimated": st.integers(0, 1),
        "created": _maybe(st.integers(0, 250_000_000_000)),
        "request_id": _maybe(TEXTS),
        "task_id": _maybe(TEXTS.filter(bool)),
        "input_tokens": _maybe(NUMBERS),
        "output_tokens": _maybe(NUMBERS),
        "latency_s": _maybe(FLOATS),
        "outcome_flags": FLAGS,
        "row_id": TEXTS,
        "prompt": TEXTS,
        "file_name": TEXTS,
        "format": TEXTS,
        "width": _maybe(st.integers(0, 2**31 - 1)),
        "height": _maybe(st.integers(0, 2**31 - 1)),
        "bytes": st.integers(0, 2**63 - 1),
        "sha256": st.one_of(st.binary(min_size=32, max_size=32), st.just(b"\xff" * 32)),
        "revised_prompt": _maybe(TEXTS),
        "image_flags": FLAGS,
    }
)
PARAMS: tuple[dict[str, Any], ...] = (
    {"model": "m"},
    {"model": "m", "size": "64x48", "output_compression": 80},
    {"model": 'q"\n', "quality": "low", "own": [1]},
    {},
)
USUAL: Story = {
    "end": "plain",
    "run": 0,
    "params": 0,
    "sent_ms": 2_000,
    "finished_ms": 3_000,
    "http_status": 200,
    "maybe_billed": 0,
    "cost_usd": 0.04,
    "cost_estimated": 0,
    "created": 1_700_000_000,
    "request_id": None,
    "task_id": None,
    "input_tokens": None,
    "output_tokens": None,
    "latency_s": 4.25,
    "outcome_flags": None,
    "row_id": "a",
    "prompt": "a fox",
    "file_name": "images/a.png",
    "format": "png",
    "width": 64,
    "height": 48,
    "bytes": 100,
    "sha256": bytes(32),
    "revised_prompt": None,
    "image_flags": None,
}


class Told:
    """A ledger in memory with these stories, an item each, and its rows. shift: attempts are in another order."""

    def __init__(self, stories: list[Story], shift: int = 0) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        schema.create_tables(self.connection, simulated=False)
        for number, params in enumerate(PARAMS):
            self.connection.execute("INSERT INTO params VALUES (?,?,NULL)", (number, json.dumps(params)))
        for run in range(3):
            self.connection.execute("INSERT INTO runs VALUES (?,?,0,'0',?,NULL)", (run, str(run), f"e{run}"))
        self.rows = []
        for item, story in enumerate(stories):
            self._tell(item, (item + shift) % len(stories), story)
            request = ImageRequest(story["prompt"], tuple(PARAMS[story["params"]].items()))
            self.rows.append(Row(item, story["row_id"], request, bytes(16)))
        self.items = np.arange(len(stories), dtype=np.int64)
        self.facts = Facts(False, "", ResultQuery(self.connection).duplicates())

    def _tell(self, item: int, attempt: int, story: Story) -> None:
        end = story["end"]
        self._insert("items", story | {"item": item, "fingerprint": bytes(16)})
        common: Story = {"item": item, "attempt": attempt, "n": 1, "idx": 0, "indexes": None, "kind": None}
        status = {"failed": "failed"}.get(end, "succeeded")
        if end == "some":
            common["indexes"] = "[0]"
        told = story | common | {"status": status}
        self._insert("attempts", told | {"prompt": "another" if end == "other prompt" else None})
        if end == "twice":
            later = {"attempt": 1000 + attempt, "prompt": None}
            self._insert("attempts", told | later)
            self._insert("outcomes", told | later | {"flags": None})
            self._insert("images", told | later | {"flags": None})
        if end != "open":
            self._insert("outcomes", told | {"flags": story["outcome_flags"]})
        if end not in ("open", "failed"):
            self._insert("images", told | {"flags": story["image_flags"]})
        if end == "pruned":
            self.connection.execute("INSERT INTO pruned VALUES (?, 0, 7)", (attempt,))

    def _insert(self, table: str, values: Story) -> None:
        names = COLUMNS[table]
        marks = ",".join("?" * len(names))
        self.connection.execute(
            f"INSERT INTO {table} ({','.join(names)}) VALUES ({marks})", [values[name] for name in names]
        )

    def expected(self, places: list[int]) -> pa.Table:
        """What the attempts of these rows tell, one row after another."""
        attempts = AttemptReader(self.connection).attempts_of(self.items.tolist())
        lines = [row_values(self.rows[i], fold(attempts[i], 1), self.facts)[0] for i in places]
        columns = [pa.array([line.get(name) for line in lines], kind) for name, kind in _fields()]
        return pa.Table.from_arrays(columns, schema=RESULTS_SCHEMA)

    def single(self) -> SingleRowReader:
        """What reads them."""
        return SingleRowReader(ResultQuery(self.connection), self.facts.duplicates)


def _fields() -> Iterator[tuple[str, pa.DataType]]:
    return ((field.name, field.type) for field in RESULTS_SCHEMA)


def _known(found: FoundRows | None, positions: Any) -> pa.Table | None:
    """The table of rows of which the ledger tells ids and prompts."""
    return None if found is None else found.table(row=np.asarray(positions)[found.indexes])


def _same(found: pa.Table | None, expected: pa.Table) -> None:
    """Also in the sign of zero and in what is null."""
    if found is None:
        assert expected.num_rows == 0
        return
    found.validate(full=True)
    assert found.schema.equals(expected.schema)
    assert repr(found.to_pylist()) == repr(expected.to_pylist())


@example([USUAL, USUAL | {"latency_s": 5e-324}, USUAL | {"latency_s": 1e22}, USUAL], 0)
@example([USUAL | {"latency_s": 0.1}, USUAL | {"latency_s": 0.1 + 0.2}, USUAL | {"cost_usd": None}], 1)
@example([USUAL | {"file_name": ""}], 0)
@example([USUAL | {"end": "twice"}, USUAL | {"end": "pruned"}], 0)
@given(st.lists(STORIES, min_size=1, max_size=10), st.integers(0, 9))
def test_what_rows_hold_is_told_as_their_attempts_tell_it(stories: list[Story], shift: int) -> None:
    told = Told(stories, shift)
    with closing(told.connection):
        expected = [i for i, story in enumerate(stories) if story["end"] == "plain"]
        named = told.single().find(told.items, named=True)
        assert ([] if named is None else named.indexes.tolist()) == expected
        _same(_known(named, told.items), told.expected(expected))
        found = told.single().find(told.items, named=False)
        rows = [told.rows[i] for i in expected]
        table = found and found.table(
            row_id=[row.row_id for row in rows],
            row=[row.position for row in rows],
            prompt=[row.request.prompt for row in rows],
        )
        _same(table, told.expected(expected))


@given(st.lists(STORIES, min_size=1, max_size=10), st.data())
def test_blocks_may_be_cut_anywhere(stories: list[Story], data: st.DataObject) -> None:
    told = Told(stories)
    with closing(told.connection):
        order = np.array(data.draw(st.permutations(told.items.tolist())), dtype=np.int64)
        cut = data.draw(st.integers(0, len(order)))
        reader = told.single()
        parts = [part for part in (order[:cut], order[cut:]) if len(part)]
        tables = [_known(reader.find(part, named=True), part) for part in parts]
        found = [table for table in tables if table is not None]
        places = [i for i in order.tolist() if stories[i]["end"] == "plain"]
        _same(pa.concat_tables(found) if found else None, told.expected(places))


@pytest.mark.parametrize("wanted", [[0, 29], [29, 0, 15], [3, 4, 5], [7, ABSENT, 2, ABSENT], [4, 4, 9, 4]])
def test_items_may_be_far_apart_out_of_order_absent_and_asked_for_twice(wanted: list[int]) -> None:
    stories = [USUAL | {"row_id": f"r{i}", "file_name": f"{i}.png"} for i in range(30)]
    stories[4]["end"] = "twice"
    told = Told(stories, 11)
    with closing(told.connection):
        found = told.single().find(np.array(wanted, dtype=np.int64), named=True)
        expected = [item for item in wanted if item not in (ABSENT, 4)]
        assert found is not None
        _same(found.table(row=np.array(expected)), told.expected(expected))


def test_where_no_row_is_asked_for_none_is_found() -> None:
    told = Told([USUAL])
    with closing(told.connection):
        assert told.single().find(np.array([ABSENT, ABSENT]), named=False) is None
        assert told.single().find(np.array([], dtype=np.int64), named=True) is None


@pytest.mark.parametrize("text", [b"half \xe2\x82", b"\xff", b"\xfe"])
def test_a_text_that_is_none_is_damage(text: bytes) -> None:
    told = Told([USUAL, USUAL])
    with closing(told.connection):
        told.connection.execute("UPDATE items SET prompt = CAST(? AS TEXT) WHERE item = 1", (text,))
        with pytest.raises(sqlite3.DatabaseError):
            told.single().find(told.items, named=True)
