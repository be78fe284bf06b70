"""A cache of the completed rows of an unchanged manifest, so that the next run need not read them one by one.

`OUT/.done` is derived and disposable. It says, by manifest position, which rows have all their images, and, by item
number, which of the ledger's rows these are. That never changes back: rows of the ledger are only added, and a success
stays one. It is believed only for the very bytes of the manifest it was made from, read with the same columns, and for
the very ledger, which may have grown since but holds the newest attempt of then, sent when it was. A row whose id or
content comes more than once is never in it, because what such a row is called hangs on the rows before it.
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
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.selection import reads_all
from runner.artifacts.atomic_files import Folder
from runner.ledger.queries import next_number
from runner.ledger.schema import read_meta
from runner.ledger.statistics import Totals, totals
from schemas.job import Job

MAP_NAME = ".done"
LEAST_ROWS = 2_000
"""Fewer done rows are not worth a map."""
_VERSION = 4
_CHUNK_BYTES = 2**22

Bits = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint32]
"""Four thousand million rows are enough."""
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class CompletedRows:
    """Rows that have all their images. rows, images: how many. positions, items: True where completed.

    attempts: all below this number are settled, and `totals` sums them up. stamp: the manifest's when the cache was read.
    packed: item numbers in manifest order, as compressed differences. manifest: a hash of the manifest's bytes and columns.
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
        """The item numbers of these rows, in manifest order."""
        return np.cumsum(np.frombuffer(zlib.decompress(self.packed), dtype="<i4"), dtype=np.int64)

    def completed_offsets(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Offsets of the completed rows among the `count` rows from this manifest position on."""
        return np.flatnonzero(self.positions[start : start + count])

    def matches(self, job: Job) -> bool:
        """Whether the manifest has not been written to since the cache was read."""
        return self.stamp is not None and self.stamp == _stamp(job)

    def command(self, command: str) -> str:
        """The call of a run as the ledger records it (JSON); with completed rows it also names their manifest."""
        return json.dumps({**json.loads(command), "manifest": self.manifest}) if self.rows else command

    def open_offsets(self, start: int, count: int) -> list[int]:
        """Offsets of the other rows among the `count` rows from this manifest position on."""
        known = self.positions[start : start + count]
        if not known.any():
            return list(range(count))
        offsets: list[int] = np.flatnonzero(~known).tolist()
        return offsets + list(range(len(known), count))


_NO_BITS = np.empty(0, dtype=np.bool_)
NOTHING_COMPLETED = CompletedRows(0, 0, _NO_BITS, _NO_BITS, 0, Totals())
"""Without a cache: every row is read."""


@dataclass
class CompletionBuilder:
    """Collects the completed rows of a pass over the job's whole manifest, batch by batch. Create it before the pass."""

    job: Job
    _positions: list[Numbers] = field(default_factory=list)
    _items: list[Numbers] = field(default_factory=list)
    _keys: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    _known: list[tuple[Numbers, Numbers]] = field(default_factory=list)

    def add_known(self, positions: npt.NDArray[np.int64], items: npt.NDArray[np.int64]) -> None:
        """Add rows of an earlier cache of the same manifest; their ids are unique."""
        self._known.append((positions.astype(np.uint32), items.astype(np.uint32)))

    def __post_init__(self) -> None:
        self._stamp = _stamp(self.job)

    def add(self, positions: Iterable[int], items: Iterable[int], keys: npt.NDArray[np.uint64]) -> None:
        """Add completed rows of one image: manifest positions, item numbers, and hashes of their ids or contents."""
        self._positions.append(np.fromiter(positions, np.uint32))
        self._items.append(np.fromiter(items, np.uint32))
        self._keys.append(keys)

    def save(self, folder: Folder, connection: sqlite3.Connection, repeated: set[int]) -> bool:
        """Write the cache, if there are enough rows and the manifest is a local file. Raises OSError.

        repeated: keys that came more than once.
        """
        positions, items = self._found(repeated)
        if len(positions) < LEAST_ROWS or not _mappable(self.job):
            return False
        if connection.execute(
            "SELECT 1 FROM aliases LIMIT 1"
        ).fetchone():  # rows with other ids than their items have
            return False
        settled = connection.execute(
            "SELECT coalesce(min(attempt), (SELECT coalesce(max(attempt) + 1, 0) FROM attempts)) FROM attempts "
            "WHERE attempt NOT IN (SELECT attempt FROM outcomes) OR attempt IN (SELECT attempt FROM unfetched)"
        ).fetchone()[0]
        identity = _identity(self.job, connection)
        if self._stamp is None or self._stamp != _stamp(self.job):
            return False
        header = identity | {"rows": len(positions), "images": len(positions), "attempts": settled}
        header["newest"] = _attempt_digest(connection, settled - 1)
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


def load(out: Path, connection: sqlite3.Connection, job: Job) -> CompletedRows:
    """The folder's cache; `NOTHING_COMPLETED` if there is none, or it is of another manifest or ledger."""
    if not _mappable(job):
        return NOTHING_COMPLETED
    stamp = _stamp(job)
    try:
        head, _, rest = (out / MAP_NAME).read_bytes().partition(b"\n")
        header: dict[str, Any] = json.loads(head)
        sizes = header["sizes"]
        if header["digest"] != hashlib.sha256(rest).hexdigest() or sum(sizes) != len(rest):
            return NOTHING_COMPLETED
        reached = next_number(connection, "attempts", "attempt")
        identity = _identity(job, connection)
        if header["newest"] != _attempt_digest(connection, header["attempts"] - 1):
            return NOTHING_COMPLETED
        if reached < header["attempts"] or any(header[name] != value for name, value in identity.items()):
            return NOTHING_COMPLETED
        positions, items = (
            np.unpackbits(np.frombuffer(part, dtype=np.uint8)).astype(np.bool_)
            for part in (rest[: sizes[0]], rest[sizes[0] : sizes[0] + sizes[1]])
        )
        return CompletedRows(
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
        return NOTHING_COMPLETED


def totals_with(connection: sqlite3.Connection, completed: CompletedRows) -> Totals:
    """What the folder has sent, kept and cost so far. Only the part of the ledger that is newer than the cache is read."""
    return completed.totals.plus(totals(connection, since=completed.attempts))


def nothing_else_sent(connection: sqlite3.Connection, completed: CompletedRows) -> bool:
    """Whether every request since the cache was made was for its manifest, so that no row can have been edited."""
    commands = connection.execute(
        "SELECT DISTINCT command FROM runs WHERE run IN (SELECT run FROM attempts WHERE attempt >= ?)",
        (completed.attempts,),
    ).fetchall()
    return all(
        command and json.loads(command).get("manifest") == completed.manifest for (command,) in commands
    )


def _stamp(job: Job) -> Stamp | None:
    """Changes when the manifest is written to; None if it is no local file."""
    try:
        stat = Path(job.manifest or "").stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _mappable(job: Job) -> bool:
    """Whether the manifest is one local file that is read whole."""
    return job.manifest is not None and reads_all(job) and Path(job.manifest).is_file()


def _identity(job: Job, connection: sqlite3.Connection) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "ledger": _ledger_id(connection),
        "columns": [job.columns.prompt, job.columns.id],
        "n": job.request.n or 1,
        "manifest": _digest(Path(str(job.manifest))),
    }


def _attempt_digest(connection: sqlite3.Connection, attempt: int) -> str | None:
    """What tells this attempt from one of that number in another life of the ledger; None where there is none."""
    query = "SELECT attempt, item, run, sent_ms FROM attempts WHERE attempt = ?"
    row = connection.execute(query, (attempt,)).fetchone()
    return None if row is None else hashlib.sha256(json.dumps(row).encode()).hexdigest()


def _ledger_id(connection: sqlite3.Connection) -> str:
    """A random id of this ledger, made when it is first needed."""
    known = read_meta(connection, "id")
    if known is None:
        with suppress(sqlite3.OperationalError):  # read-only: no id, and so no cache either
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
