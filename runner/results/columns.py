"""Results rows with one request and one image, column by column; nearly all rows of a large job are of this kind.

All other rows are read by `runner.results.rows`. For a row that both can read, both give the same values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from runner.ledger.result_query import SHARED, ResultQuery
from schemas.failures import RowStatus
from schemas.outcome import ABSENT, DUPLICATE
from schemas.request import FIELDS
from schemas.results import RESULTS_SCHEMA

_CONSTANT = {"image_index": 0, "status": RowStatus.SUCCEEDED.value, "attempts": 1, "try_number": 1}

Numbers = npt.NDArray[np.int64]


class FoundRows(NamedTuple):
    """indexes: of those items that have one request and one image. columns: their values, in that order."""

    indexes: Numbers
    columns: dict[str, pa.Array]

    def table(self, **own: Sequence[Any] | pa.Array) -> pa.Table:
        """Their results rows. own: columns that do not come from the ledger."""
        made = self.columns | {
            name: pa.array(values, RESULTS_SCHEMA.field(name).type) for name, values in own.items()
        }
        return pa.Table.from_arrays([made[name] for name in RESULTS_SCHEMA.names], schema=RESULTS_SCHEMA)


class SingleRowReader:
    """Reads rows with one request and one image from one ledger."""

    def __init__(self, query: ResultQuery, duplicates: frozenset[str]) -> None:
        self._query = query
        self._duplicates = pa.array(sorted(duplicates), pa.string())
        self._endpoints = query.endpoints()

    def find(self, items: Numbers, *, named: bool) -> FoundRows | None:
        """The rows of this kind among these items; None if there are none.

        items: of one block of rows, `ABSENT` for a row to leave out. named: take ids and prompts from the ledger.
        """
        wanted = items[items != ABSENT]
        if not len(wanted):
            return None
        fetched = dict(self._query.single_rows(wanted.tolist(), named=named))
        if not fetched:
            return None
        numbers = np.array(fetched.pop("item"), dtype=np.int64)
        at = np.minimum(np.searchsorted(numbers, items), len(numbers) - 1)
        indexes = np.flatnonzero(numbers[at] == items)
        if not len(indexes):
            return None
        order = None if np.array_equal(at[indexes], np.arange(len(numbers))) else pa.array(at[indexes])
        columns = self._columns(fetched)
        if order is not None:
            columns = {name: values.take(order) for name, values in columns.items()}
        return FoundRows(indexes, columns)

    def _columns(self, fetched: dict[str, Sequence[Any]]) -> dict[str, pa.Array]:
        shared = pa.array(fetched.pop("shared"), pa.string()).dictionary_encode()
        fetched["sha256"] = [digest.hex() for digest in fetched["sha256"]]
        columns = {
            name: pa.array(values, RESULTS_SCHEMA.field(name).type) for name, values in fetched.items()
        }
        distinct = [self._shared(text) for text in shared.dictionary.to_pylist()]
        for field in RESULTS_SCHEMA:
            if field.name not in columns:
                values = pa.array([each.get(field.name) for each in distinct], field.type)
                columns[field.name] = values.take(shared.indices)
        if len(self._duplicates):
            twice = pc.is_in(columns["sha256"], self._duplicates)
            columns["flags"] = _flagged(columns["flags"], twice)
        return columns

    def _shared(self, text: str) -> dict[str, Any]:
        """Values that all rows with this `shared` text have, by column of the results."""
        common = dict(zip(SHARED, json.loads(text), strict=True))
        params = self._query.params(common.pop("params"))
        of_outcome, of_image = common.pop("outcome_flags"), common.pop("image_flags")
        flags = [
            *(json.loads(of_outcome) if of_outcome else ()),
            *(("estimated_cost",) if common.pop("cost_estimated") else ()),
            *(json.loads(of_image) if of_image else ()),
        ]
        endpoint = self._endpoints[common.pop("run")]
        asked = {name: params.get(name) for name in FIELDS}
        return common | asked | _CONSTANT | {"endpoint": endpoint, "flags": flags}


def _flagged(flags: pa.Array, twice: pa.Array) -> pa.Array:
    """The flags, with `duplicate_image` added where `twice` is true."""
    if not pc.any(twice).as_py():
        return flags
    return pa.array(
        [
            [*each, DUPLICATE] if again else each
            for each, again in zip(flags.to_pylist(), twice.to_pylist(), strict=True)
        ],
        flags.type,
    )
