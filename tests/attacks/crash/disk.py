"""A disk that keeps only what was synced. Replays a run's system calls and tells every state a power cut may leave.

The rules are the strict ones of POSIX, harsher than ext4 or xfs: what was written is there after a power cut only if
its file was synced, and a name only if its folder was. Anything else may be there or not, each by itself and in any
order, a write of more than a sector also in part. Only a single change of one name is all or nothing.
"""

from __future__ import annotations

import itertools
import posixpath
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.attacks.crash.tracing import Op

SECTOR = 512
EXHAUSTIVE = 6
"""With so many unsynced changes or fewer, every subset of them is a state."""
_DRAWN = 24
_SYNCS = ("fsync", "fdatasync")
_WRITES = ("write", "pwrite64")
_UNMODELLED = ("writev", "pwritev", "pwritev2", "copy_file_range", "sendfile", "link", "linkat", "truncate")


@dataclass(eq=False)
class File:
    """Content that is safe. cursor: where the next plain write goes."""

    safe: bytes = b""
    cursor: int = 0


@dataclass(eq=False)
class Dir:
    """Names that are safe, and names as running programs see them."""

    safe: dict[str, Node] = field(default_factory=dict)
    seen: dict[str, Node] = field(default_factory=dict)


Node = File | Dir


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """One unsynced change: bytes at an offset of a file, its length cut, or one name of a folder set or removed."""

    node: Node
    offset: int = 0
    data: bytes | None = None
    name: str = ""
    target: Node | None = None

    def torn(self) -> Iterator[Change]:
        """The write with only its first or only its last sectors."""
        if self.data is None or len(self.data) <= SECTOR:
            return
        middle = len(self.data) // 2 // SECTOR * SECTOR or SECTOR
        yield Change(self.node, self.offset, self.data[:middle])
        yield Change(self.node, self.offset + middle, self.data[middle:])


class Disk:
    """Everything below `root`, whose own name is taken as safe."""

    def __init__(self, root: str) -> None:
        self.unsynced: list[Change] = []
        self._root = root
        self._top = Dir()

    def apply(self, op: Op) -> bool:
        """Carry out one call; False when it changed nothing here. Raises ValueError for a call that is not modelled."""
        inside = [path for path in op.paths if path == self._root or path.startswith(self._root + "/")]
        if not inside or op.call.startswith("send"):
            return False
        if op.call in _UNMODELLED:
            raise ValueError(f"{op.call} is not modelled: {inside}")
        before = len(self.unsynced)
        if op.call in _SYNCS:
            self._sync(self._find(inside[0]))
            return True
        if op.call in _WRITES:
            self._write(op)
        elif op.call == "ftruncate":
            self._add(Change(self._find(op.paths[0]), op.numbers[0]))
        elif op.call in ("openat", "open", "creat"):
            self._open(op)
        elif op.call in ("mkdir", "mkdirat"):
            self._name(op.paths[0], Dir())
        elif op.call.startswith("rename"):
            node = self._find(op.paths[0])
            self._name(op.paths[1], node)
            self._name(op.paths[0], None)
        elif op.call in ("unlink", "unlinkat", "rmdir"):
            folder, name = self._parent(op.paths[0])
            if name in folder.seen:  # not there: a kill hid the end of the call that made it
                self._name(op.paths[0], None)
        return len(self.unsynced) > before

    def _write(self, op: Op) -> None:
        file = self._find(op.paths[0])
        assert isinstance(file, File)
        if op.call == "pwrite64":
            self._add(Change(file, op.numbers[-1], op.data))
        else:
            self._add(Change(file, file.cursor, op.data))
            file.cursor += len(op.data)

    def _open(self, op: Op) -> None:
        if not (op.created or op.truncated):
            return
        folder, name = self._parent(op.paths[0])
        if op.created and name not in folder.seen:
            self._name(op.paths[0], File())
        elif op.truncated:
            self._add(Change(folder.seen[name], 0))

    def _sync(self, node: Node) -> None:
        mine = [change for change in self.unsynced if change.node is node]
        if isinstance(node, Dir):
            node.safe = dict(node.seen)
        else:
            node.safe = _content(node.safe, mine)
        self.unsynced = [change for change in self.unsynced if change.node is not node]

    def _add(self, change: Change) -> None:
        self.unsynced.append(change)

    def _name(self, path: str, target: Node | None) -> None:
        folder, name = self._parent(path)
        if target is None:
            folder.seen.pop(name)
        else:
            folder.seen[name] = target
        self._add(Change(folder, name=name, target=target))

    def _parent(self, path: str) -> tuple[Dir, str]:
        folder = self._find(posixpath.dirname(path))
        assert isinstance(folder, Dir)
        return folder, posixpath.basename(path)

    def _find(self, path: str) -> Node:
        node: Node = self._top
        for part in posixpath.relpath(path, self._root).split("/"):
            if part != ".":
                assert isinstance(node, Dir)
                node = node.seen[part]
        return node

    def state(self, kept: Sequence[Change]) -> dict[str, bytes]:
        """Files by path below the root, when of the unsynced changes these reached the disk."""
        files: dict[str, bytes] = {}
        self._collect(self._top, "", kept, files)
        return files

    def _collect(self, folder: Dir, prefix: str, kept: Sequence[Change], files: dict[str, bytes]) -> None:
        names = dict(folder.safe)
        for change in kept:
            if change.node is folder and change.target is None:
                names.pop(change.name, None)
            elif change.node is folder and change.target is not None:
                names[change.name] = change.target
        for name, node in names.items():
            if isinstance(node, Dir):
                self._collect(node, f"{prefix}{name}/", kept, files)
            else:
                files[prefix + name] = _content(node.safe, [each for each in kept if each.node is node])

    def choices(self, chance: random.Random) -> Iterator[list[Change]]:
        """What may have reached the disk: every subset of the unsynced changes, or of many a telling selection."""
        every = self.unsynced
        yield from _subsets(every) if len(every) <= EXHAUSTIVE else _selection(every, chance)
        for number, change in enumerate(every):
            for part in change.torn():
                yield [*every[:number], part]
                yield [*every[:number], part, *every[number + 1 :]]


def _content(safe: bytes, changes: Sequence[Change]) -> bytes:
    content = bytearray(safe)
    for change in changes:
        if change.data is None:
            del content[change.offset :]
            content.extend(bytes(change.offset - len(content)))
        else:
            content.extend(bytes(max(0, change.offset - len(content))))
            content[change.offset : change.offset + len(change.data)] = change.data
    return bytes(content)


def _subsets(every: list[Change]) -> Iterator[list[Change]]:
    for size in range(len(every) + 1):
        for kept in itertools.combinations(every, size):
            yield list(kept)


def _selection(every: list[Change], chance: random.Random) -> Iterator[list[Change]]:
    """Every prefix; all but one; one alone; only names; only data; and some drawn at random."""
    for number in range(len(every) + 1):
        yield every[:number]
    for number, change in enumerate(every):
        yield every[:number] + every[number + 1 :]
        yield [change]
    yield [change for change in every if isinstance(change.node, Dir)]
    yield [change for change in every if isinstance(change.node, File)]
    for _ in range(_DRAWN):
        yield [change for change in every if chance.random() < 0.5]
