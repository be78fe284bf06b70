"""`verify --decode`: images whose bytes are the recorded ones and whose pixels cannot be decoded."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from runner.maintenance.decoding import undecodable
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import KeptBody
from tests.attacks.faults.pictures import picture, svg
from tests.support.images import drawn, header, mpo, png
from tests.support.ledgers import LedgerFolder, rows_of, saved
from tests.support.manifests import prompts, row_stream


def test_every_image_that_does_not_decode_is_told_and_no_other_file(tmp_path: Path) -> None:
    broken = png(header(8, 8), [b"not a zlib stream"])
    files = {
        "a-0.png": picture("fox"),
        "b-0.png": broken,
        "c-0.jpg": mpo(),
        "d-0.svg": svg("fox"),
        "e-0.svg": b"<svg><g></svg>",
        "f-0.jpg": drawn("JPEG", size=(5000, 4000)),
        "g-0.png": broken,
    }
    with LedgerFolder(tmp_path) as place:
        rows = rows_of(row_stream(prompts(*files, "gone", "body")))
        for row, (name, data) in zip(rows, files.items(), strict=False):
            place.folder.save(f"images/0000/{name}", (data,))
            place.success(row, replace(saved(), file_name=f"images/0000/{name}"))
        place.success(rows[-2], saved(name="gone"))
        place.folder.save("quarantine/body.body", (b"no image",))
        body = KeptBody("quarantine/body.body", 8, hashlib.sha256(b"no image").hexdigest())
        place.failure(rows[-1], FailureKind.BAD_CONTENT, RowStatus.FAILED, quarantined=body)
        found = list(undecodable(place.ledger, {"images/0000/g-0.png"}))
    assert [problem.path.rpartition("/")[2] for problem in found] == ["b-0.png", "e-0.svg", "gone-0.png"]
    assert "does not decode" in found[0].problem and "no XML" in found[1].problem
    assert "cannot be read" in found[2].problem
