"""Which results rows a report or an export takes: an expression, picks, a sample."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from runner.results.filter import RowFilter
from runner.results.picks import Picks


@dataclass(frozen=True, slots=True)
class ResultsSelection:
    """where: SQL over the results columns (and rating, tag, note with picks). picks: only images that were picked.

    sample: at most so many manifest rows, drawn by their ids and the seed.
    """

    where: str | None = None
    picks: Picks | None = None
    sample: int | None = None
    seed: int = 0

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns of what is selected."""
        return schema if self.picks is None else self.picks.schema(schema)

    def select(self, schema: pa.Schema, tables: Callable[[], Iterable[pa.Table]]) -> Iterator[pa.Table]:
        """The chosen lines, in manifest order. tables: all results, anew at each call; a sample reads them twice.

        Raises JobError for an expression that is none over these columns, and for picks of another folder.
        """
        if self.sample is None:
            yield from self._chosen(schema, tables())
            return
        drawn = pa.array(sorted(self._drawn(self._chosen(schema, tables()))), pa.int64())
        if self.picks is not None:
            self.picks.used = self.picks.stale = 0
        for table in self._chosen(schema, tables()):
            sampled = table.filter(pc.is_in(table.column("row"), value_set=drawn))
            if sampled.num_rows:
                yield sampled

    def _chosen(self, schema: pa.Schema, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        rows = None if self.where is None else RowFilter(self.where, self.schema(schema))
        for table in tables:
            chosen = table if self.picks is None else self.picks.picked(table)
            if rows is not None and chosen.num_rows:
                chosen = chosen.filter(pa.array(rows.matches(chosen)))
            if chosen.num_rows:
                yield chosen
        if self.picks is not None:
            self.picks.refuse_foreign()

    def _drawn(self, tables: Iterable[pa.Table]) -> set[int]:
        """Positions of the rows in the sample. Each row's rank depends on its id and the seed only."""
        assert self.sample is not None
        key = self.seed.to_bytes(16, "little", signed=True)
        ranks = {
            row: blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
            for table in tables
            for row_id, row in zip(
                table.column("row_id").to_pylist(), table.column("row").to_pylist(), strict=True
            )
        }
        return set(heapq.nsmallest(self.sample, ranks, key=ranks.__getitem__))
