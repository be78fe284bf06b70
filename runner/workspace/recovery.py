"""Images of dead runs that were durable before their outcome was: adopted, so that what was paid for is not lost.

Between the moment an image stands under its final name and the moment its outcome is recorded, a kill leaves the file
without a record. The name tells the attempt and the index, and only whole, checked images ever get a final name. The
kill may have come before that name was synced, so that is done before it is recorded.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from jobs.naming import EXTENSIONS, image_name
from runner.artifacts.atomic_files import sync_above
from runner.artifacts.image_store import Asked, NotAnImage, differences, look
from runner.ledger import statements
from runner.ledger.writer import record_now
from schemas.outcome import SavedImage, Success
from schemas.request import ImageRequest

RECOVERED = "recovered"
"""Flag of an image adopted from a dead run; what the service said beside it (revised prompt, usage) is lost."""

_DEAD = (
    "SELECT attempt, row_id, coalesce(attempts.prompt, items.prompt), body, n, indexes, reserved_usd "
    "FROM attempts JOIN items USING (item) JOIN params USING (params) "
    "WHERE attempt >= ? AND attempt NOT IN (SELECT attempt FROM outcomes)"
)


def adopt(out: Path, connection: sqlite3.Connection, *, max_pixels: int, now_ms: int, since: int = 0) -> int:
    """Record the dead attempts all of whose images stand on disk; their number. Nobody else may be running.

    since: the first attempt that may be dead.
    """
    adopted = 0
    for attempt, row_id, prompt, body, n, indexes, reserved in connection.execute(_DEAD, (since,)).fetchall():
        request = ImageRequest(prompt, tuple(json.loads(body).items()))
        asked = range(n) if indexes is None else json.loads(indexes)
        images = tuple(_on_disk(out, attempt, row_id, asked, request, max_pixels))
        if len(images) < n:
            continue
        for image in images:
            sync_above(out, image.file_name)
        measured = statements.Measured(attempt, now_ms, None, reserved, cost_estimated=reserved is not None)
        record_now(connection, statements.success(Success(images, flags=(RECOVERED,)), measured))
        adopted += 1
    return adopted


def _on_disk(
    out: Path, attempt: int, row_id: str, indexes: Iterable[int], request: ImageRequest, max_pixels: int
) -> Iterator[SavedImage]:
    for index in indexes:
        for image_format in EXTENSIONS:
            name = image_name(attempt, index, row_id, image_format)
            image = _read(out / name, name, index, request, max_pixels)
            if image is not None:
                yield image
                break


def _read(path: Path, name: str, index: int, request: ImageRequest, max_pixels: int) -> SavedImage | None:
    if path.is_symlink() or not path.is_file():
        return None
    data = path.read_bytes()
    try:
        looked = look((data,), asked_format=request.get("output_format"), max_pixels=max_pixels)
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
