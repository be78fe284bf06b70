"""Images of dead runs that were durable before their outcome was: adopted, so that what was paid for is not lost.

Between the moment an image stands under its final name and the moment its outcome is recorded, a kill leaves the file
without a record. The name tells the attempt and the index, and only whole, checked images ever get a final name. The
kill may have come before that name was synced, so that is done before it is recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from jobs.naming import EXTENSIONS, image_name
from runner.artifacts.atomic_files import sync_above
from runner.artifacts.image_checks import differences, look
from runner.ledger.ledger_file import DeadAttempt, LedgerFile
from schemas.artifacts import Asked, NotAnImage
from schemas.outcome import SavedImage, Success
from schemas.request import ImageRequest

RECOVERED = "recovered"
"""Flag of an image adopted from a dead run; what the service said beside it (revised prompt, usage) is lost."""


def adopt(ledger: LedgerFile, *, max_pixels: int, now_ms: int, since: int = 0) -> int:
    """Record the dead attempts all of whose images stand on disk; their number. Nobody else may be running.

    since: the first attempt that may be dead.
    """
    adopted = 0
    for dead in ledger.dead_attempts(since):
        images = tuple(_on_disk(ledger.out, dead, max_pixels))
        if len(images) < dead.n:
            continue
        for image in images:
            sync_above(ledger.out, image.file_name)
        ledger.adopt(dead, Success(images, flags=(RECOVERED,)), now_ms=now_ms)
        adopted += 1
    return adopted


def _on_disk(out: Path, dead: DeadAttempt, max_pixels: int) -> Iterator[SavedImage]:
    for index in dead.indexes:
        for image_format in EXTENSIONS:
            name = image_name(dead.attempt, index, dead.row_id, image_format)
            image = _read(out / name, name, index, dead.request, max_pixels)
            if image is not None:
                yield image
                break


def _read(path: Path, name: str, index: int, request: ImageRequest, max_pixels: int) -> SavedImage | None:
    if path.is_symlink() or not path.is_file():
        return None
    data = path.read_bytes()
    try:
        looked = look(data, asked_format=request.get("output_format"), max_pixels=max_pixels)
    except NotAnImage:
        return None
    return SavedImage(
        index,
        name,
        looked.format,
        looked.width,
        looked.height,
        len(data),
        hashlib.sha256(data).hexdigest(),
        None,
        differences(looked, Asked.of(request)),
    )
