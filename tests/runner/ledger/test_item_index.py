"""Which item a row is: by its own fingerprint, or as another that the item stands for."""

from __future__ import annotations

from pathlib import Path

from runner.ledger.attempt_log import alias
from schemas.failures import RowStatus
from schemas.outcome import ABSENT
from tests.support.ledgers import LedgerFolder, rows_of, saved
from tests.support.manifests import prompts, row_stream


def test_an_item_stands_for_other_rows_too(tmp_path: Path) -> None:
    one, two = rows_of(row_stream(prompts("a fox", "an owl")))
    other, another = rows_of(
        row_stream([{"id": "r0.0", "prompt": "a fox"}, {"id": "r1.0", "prompt": "an owl"}])
    )
    with LedgerFolder(tmp_path) as place:
        place.success(one, saved(0))
        place.success(two, saved(0))
        index = place.ledger.item_index()
        assert index.items([other, two, another]) == [ABSENT, 1, ABSENT]
        index.alias([(other.fingerprint, 0)])
        assert index.items([other, two, another, one]) == [0, 1, ABSENT, 0]
        assert index.statuses([0]) == [RowStatus.SUCCEEDED]
        place.ledger.record([alias(other.fingerprint, 0, "r0.0"), alias(another.fingerprint, 1, "r1.0")])
        assert place.ledger.item_index().items([other, another, one, two]) == [0, 1, 0, 1]
        version = place.ledger.versions([0])[0]
        assert version.is_called("r0") and version.is_called("r0.0") and not version.is_called("r1.0")
        named = [
            (int(item), row_id)
            for items, ids in place.ledger.row_ids()
            for item, row_id in zip(items, ids, strict=True)
        ]
        assert sorted(named) == [(0, "r0"), (0, "r0.0"), (1, "r1"), (1, "r1.0")]
