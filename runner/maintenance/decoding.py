"""Images of a folder decoded: what was recorded while only its structure was checked."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator

from runner.artifacts.artifact_reader import LocalReader
from runner.artifacts.check_process import inspect_patiently
from runner.ledger.reader import LedgerReader
from runner.maintenance.audit import FileProblem
from schemas.artifacts import Check, NotAnImage
from schemas.output_folder import QUARANTINE

_CHECK = Check(max_pixels=sys.maxsize)
"""How many there may be was decided when it came."""


def undecodable(ledger: LedgerReader, known: Collection[str]) -> Iterator[FileProblem]:
    """Images that stand where the ledger says and whose pixels cannot be decoded. known: files with another problem."""
    reader = LocalReader(ledger.out)
    for recorded in ledger.recorded_files():
        if recorded.path.startswith(f"{QUARANTINE}/") or recorded.sha256 is None or recorded.path in known:
            continue
        try:
            with reader.open(recorded.path) as file:
                data = file.read()
            inspect_patiently(
                data, asked_format="svg" if recorded.path.endswith(".svg") else None, check=_CHECK
            )
        except NotAnImage as problem:
            yield FileProblem(recorded.path, str(problem))
        except OSError as error:
            yield FileProblem(recorded.path, f"cannot be read: {error.strerror or error}")
