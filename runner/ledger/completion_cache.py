"""Which rows of an unchanged manifest are done: a map that spares the next run reading them one by one.

`OUT/.done` is derived and disposable. It says, by manifest position, which rows have all their images, and, by item
number, which of the ledger's rows these are. That never changes back: rows of the ledger are only added, and a success
stays one. It is believed only for the very bytes of the manifest it was made from, read with the same columns, and for
the very ledger, which may have grown since. A row whose id or content comes more than once is never in it, because what
such a row is called hangs on the rows before it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.selection import reads_all
from runner.artifacts.atomic_files import Folder
from runner.ledger.schema import read_meta
from runner.ledger.totals import Totals, totals
from schemas.job import Job

MAP_NAME = ".done"
LEAST_ROWS = 2_000
"""Fewer done rows are not worth a map."""
_VERSION = 3
_CHUNK_BYTES = 2**22

Bits = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint32]
"""Four thousand million rows are enough."""
Stamp = tuple[int, int, int]


class DoneMap(NamedTuple):
    """rows, images: how much is done. positions, items: True where done.

    attempts: all below this number are settled, and `totals` sums them up. stamp: the manifest's when the map was read.
    packed: steps from item number to item number, in manifest order. manifest: tells its bytes, and how they are read,
    from others.
    """

    rows: int
    images: int
    positions: Bits
    items: Bits
    attempts: int
    totals: Totals
    stamp: Stamp | None = None
    packed: bytes = b""
    manifest: str = ""

    def numbers(self) -> npt.NDArray[np.int64]:
        """The item numbers of the rows that are done, in manifest order."""
        return np.cumsum(np.frombuffer(zlib.decompress(self.packed), dtype="<i4"), dtype=np.int64)

    def places(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Offsets of the rows that are done, among `count` from this manifest position on."""
        return np.flatnonzero(self.positions[start : start + count])

    def is_of(self, job: Job) -> bool:
        """Whether the manifest has not been written to since the map was read."""
        return self.stamp is not None and self.stamp == _stamp(job)

    def left(self, start: int, count: int) -> list[int]:
        """Offsets of the rows that are not done, among `count` from this manifest position on."""
        known = self.positions[start : start + count]
        if not known.any():
            return list(range(count))
        offsets: list[int] = np.flatnonzero(~known).tolist()
        return offsets + list(range(len(known), count))


@dataclass
class MapBuilder:
    """Fed with what a pass over all rows of the job's manifest finds, batch by batch; made before the pass begins."""

    job: Job
    _positions: list[Numbers] = field(default_factory=list)
    _items: list[Numbers] = field(default_factory=list)
    _keys: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    _known: list[tuple[Numbers, Numbers]] = field(default_factory=list)

    def know(self, positions: npt.NDArray[np.int64], items: npt.NDArray[np.int64]) -> None:
        """The same of rows that an earlier map of the same manifest knows: none of them comes twice."""
        self._known.append((positions.astype(np.uint32), items.astype(np.uint32)))

    def __post_init__(self) -> None:
        self._stamp = _stamp(self.job)

    def add(self, positions: Iterable[int], items: Iterable[int], keys: npt.NDArray[np.uint64]) -> None:
        """Rows of one image that are done: manifest positions, item numbers, and what tells them apart."""
        self._positions.append(np.fromiter(positions, np.uint32))
        self._items.append(np.fromiter(items, np.uint32))
        self._keys.append(keys)

    def save(self, folder: Folder, connection: sqlite3.Connection, repeated: set[int]) -> bool:
        """Write the map, if it is worth it and the manifest can be told by its bytes. Raises OSError.

        repeated: keys that came more than once.
        """
        positions, items = self._found(repeated)
        if len(positions) < LEAST_ROWS or not _mappable(self.job):
            return False
        settled = connection.execute(
            "SELECT coalesce(min(attempt), (SELECT coalesce(max(attempt) + 1, 0) FROM attempts)) FROM attempts "
            "WHERE attempt NOT IN (SELECT attempt FROM outcomes)"
        ).fetchone()[0]
        identity = _identity(self.job, connection)
        if self._stamp is None or self._stamp != _stamp(self.job):
            return False
        header = identity | {"rows": len(positions), "images": len(positions), "attempts": settled}
        header["totals"] = asdict(totals(connection, until=settled))
        parts = [np.packbits(_bits(each)).tobytes() for each in (positions, items)]
        parts.append(zlib.compress(np.diff(items.astype("<i4"), prepend=np.int32(0)).tobytes(), 1))
        header["sizes"] = [len(part) for part in parts]
        header["digest"] = hashlib.sha256(b"".join(parts)).hexdigest()
        folder.save(MAP_NAME, (json.dumps(header).encode() + b"\n", *parts), replace=True)
        return True

    def _found(self, repeated: set[int]) -> tuple[Numbers, Numbers]:
        """Positions and items, in manifest order, of rows that come once."""
        positions, items = _joined(self._positions), _joined(self._items)
        if repeated and len(positions):
            unique = ~np.isin(np.concatenate(self._keys), np.fromiter(repeated, np.uint64, len(repeated)))
            positions, items = positions[unique], items[unique]
        if self._known:
            positions = _joined([positions, *(each for each, _ in self._known)])
            items = _joined([items, *(each for _, each in self._known)])
        order = np.argsort(positions, kind="stable")
        return positions[order], items[order]


def load(out: Path, connection: sqlite3.Connection, job: Job) -> DoneMap | None:
    """The folder's map; None where there is none, or it is not of this manifest and this ledger."""
    if not _mappable(job):
        return None
    stamp = _stamp(job)
    try:
        head, _, rest = (out / MAP_NAME).read_bytes().partition(b"\n")
        header: dict[str, Any] = json.loads(head)
        sizes = header["sizes"]
        if header["digest"] != hashlib.sha256(rest).hexdigest() or sum(sizes) != len(rest):
            return None
        reached = connection.execute("SELECT coalesce(max(attempt) + 1, 0) FROM attempts").fetchone()[0]
        identity = _identity(job, connection)
        if reached < header["attempts"] or any(header[name] != value for name, value in identity.items()):
            return None
        positions, items = (
            np.unpackbits(np.frombuffer(part, dtype=np.uint8)).astype(np.bool_)
            for part in (rest[: sizes[0]], rest[sizes[0] : sizes[0] + sizes[1]])
        )
        return DoneMap(
            header["rows"],
            header["images"],
            positions,
            items,
            header["attempts"],
            Totals(**header["totals"]),
            stamp,
            rest[sizes[0] + sizes[1] :],
            hashlib.sha256(json.dumps([identity["columns"], identity["manifest"]]).encode()).hexdigest(),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sums(connection: sqlite3.Connection, done: DoneMap | None) -> Totals:
    """What the folder has sent, kept and cost so far; of its ledger only what is newer than its map is read."""
    if done is None:
        return totals(connection)
    return done.totals.plus(totals(connection, since=done.attempts))


def _stamp(job: Job) -> Stamp | None:
    """What changes when the manifest is written to; None where it is no file of this machine."""
    try:
        stat = Path(job.manifest or "").stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _mappable(job: Job) -> bool:
    """Whether the manifest is one file of this machine, read whole."""
    return job.manifest is not None and reads_all(job) and Path(job.manifest).is_file()


def _identity(job: Job, connection: sqlite3.Connection) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "ledger": _ledger_id(connection),
        "columns": [job.columns.prompt, job.columns.id],
        "manifest": _digest(Path(str(job.manifest))),
    }


def _ledger_id(connection: sqlite3.Connection) -> str:
    """What tells this ledger from others; given to it when it is first asked for."""
    known = read_meta(connection, "id")
    if known is None:
        with suppress(sqlite3.OperationalError):  # a reader cannot give one, and then there is no map either
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('id', ?)", (secrets.token_hex(8),))
        known = read_meta(connection, "id")
    return known or ""


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _joined(parts: list[Numbers]) -> Numbers:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint32)


def _bits(numbers: Numbers) -> Bits:
    bits = np.zeros(int(numbers.max()) + 1, dtype=np.bool_)
    bits[numbers] = True
    return bits
