"""Results rows with one request and one image, column by column, as nearly all rows of a large job are.

A row of any other kind is told by `runner.results.rows`; both tell the same of a row that either could.
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
from schemas.outcome import ABSENT
from schemas.request import FIELDS
from schemas.results import RESULTS_SCHEMA

_CONSTANT = {"image_index": 0, "status": RowStatus.SUCCEEDED.value, "attempts": 1, "try_number": 1}

Numbers = npt.NDArray[np.int64]


class Found(NamedTuple):
    """places: which of the items that were asked for have one request and one image. columns: of them, in that order."""

    places: Numbers
    columns: dict[str, pa.Array]

    def table(self, **own: Sequence[Any] | pa.Array) -> pa.Table:
        """Their results rows. own: columns that the ledger does not tell."""
        made = self.columns | {
            name: pa.array(values, RESULTS_SCHEMA.field(name).type) for name, values in own.items()
        }
        return pa.Table.from_arrays([made[name] for name in RESULTS_SCHEMA.names], schema=RESULTS_SCHEMA)


class SingleRows:
    """Reads them from one ledger."""

    def __init__(self, query: ResultQuery, duplicates: frozenset[str]) -> None:
        self._query = query
        self._duplicates = pa.array(sorted(duplicates), pa.string())
        self._endpoints = query.endpoints()

    def find(self, items: Numbers, *, named: bool) -> Found | None:
        """Those among these items; None where there are none.

        items: of one block of rows, `ABSENT` for a row that is not asked for. named: the ledger tells ids and prompts.
        """
        wanted = items[items != ABSENT]
        if not len(wanted):
            return None
        told = dict(self._query.single_rows(wanted.tolist(), named=named))
        if not told:
            return None
        numbers = np.array(told.pop("item"), dtype=np.int64)
        at = np.minimum(np.searchsorted(numbers, items), len(numbers) - 1)
        places = np.flatnonzero(numbers[at] == items)
        if not len(places):
            return None
        order = None if np.array_equal(at[places], np.arange(len(numbers))) else pa.array(at[places])
        columns = self._columns(told)
        if order is not None:
            columns = {name: values.take(order) for name, values in columns.items()}
        return Found(places, columns)

    def _columns(self, told: dict[str, Sequence[Any]]) -> dict[str, pa.Array]:
        shared = pa.array(told.pop("shared"), pa.string()).dictionary_encode()
        told["sha256"] = [digest.hex() for digest in told["sha256"]]
        columns = {name: pa.array(values, RESULTS_SCHEMA.field(name).type) for name, values in told.items()}
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
        """What the rows with this text have in common, by the results' columns."""
        told = dict(zip(SHARED, json.loads(text), strict=True))
        params = self._query.params(told.pop("params"))
        of_outcome, of_image = told.pop("outcome_flags"), told.pop("image_flags")
        flags = [
            *(json.loads(of_outcome) if of_outcome else ()),
            *(("estimated_cost",) if told.pop("cost_estimated") else ()),
            *(json.loads(of_image) if of_image else ()),
        ]
        endpoint = self._endpoints[told.pop("run")]
        asked = {name: params.get(name) for name in FIELDS}
        return told | asked | _CONSTANT | {"endpoint": endpoint, "flags": flags}


def _flagged(flags: pa.Array, twice: pa.Array) -> pa.Array:
    """The flags, and that of an image that is there more than once."""
    if not pc.any(twice).as_py():
        return flags
    return pa.array(
        [
            [*each, "duplicate_image"] if again else each
            for each, again in zip(flags.to_pylist(), twice.to_pylist(), strict=True)
        ],
        flags.type,
    )
