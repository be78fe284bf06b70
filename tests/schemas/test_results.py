"""The columns of the results table, and where a manifest column of the same name goes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from schemas.request import FIELDS
from schemas.results import COLUMNS, RESULT_NAMES, RESULTS_SCHEMA, passthrough_name


def test_no_column_is_named_twice_and_each_says_what_it_is() -> None:
    assert len(RESULT_NAMES) == len(COLUMNS)
    assert all(meaning for _, _, meaning in COLUMNS)


def test_every_request_field_has_a_column_that_can_hold_it() -> None:
    kinds = {name: RESULTS_SCHEMA.field(name).type for name in FIELDS}
    assert kinds == {name: pa.int16() if rule.kind is int else pa.string() for name, rule in FIELDS.items()}


@pytest.mark.parametrize(
    ("column", "taken", "name"),
    [
        ("mood", RESULT_NAMES, "mood"),
        ("status", RESULT_NAMES, "manifest_status"),
        ("status", RESULT_NAMES | {"manifest_status"}, "manifest_manifest_status"),
        ("", RESULT_NAMES, ""),
    ],
)
def test_a_clash_gets_a_prefix(column: str, taken: frozenset[str], name: str) -> None:
    assert passthrough_name(column, taken) == name
