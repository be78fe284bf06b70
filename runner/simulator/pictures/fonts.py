"""The fonts that are installed, plainest first, and which characters each of them has."""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
_STYLES = (
    "bold",
    "italic",
    "oblique",
    "light",
    "thin",
    "black",
    "condensed",
    "medium",
    "mono",
    "serif",
    "math",
)
"""Words in the names of font files that come after the plain ones."""
_PLAINEST = ("dejavusans.", "notosans-regular", "liberationsans-regular", "arial.")
_EMPTY = ("lastresort", "blank", "notdef")
"""Words in the names of fonts that have every character and draw boxes, or nothing, for it."""
_UNICODE_TABLES = {(3, 10): 0, (0, 6): 1, (0, 4): 2, (3, 1): 3, (0, 3): 4}
"""(platform, encoding) of the tables that map Unicode, fullest first; see OpenType's `cmap`."""
_MAX_TABLE_BYTES = 2**22


@dataclass(frozen=True, slots=True)
class FontFile:
    """A font on the disk. starts, ends: its ranges of characters, both ends included, in order."""

    path: Path
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def has(self, letter: str) -> bool:
        """Whether the font says that it draws this character."""
        place = bisect_right(self.starts, ord(letter)) - 1
        return place >= 0 and ord(letter) <= self.ends[place]


class InstalledFonts:
    """The font files of this machine. Each is read when it is first come to: most captions need none of them."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders
        self._paths: list[Path] | None = None
        self._read: list[FontFile] = []

    def __iter__(self) -> Iterator[FontFile]:
        if self._paths is None:
            self._paths = sorted(_files(self._folders), key=_rank)
        for place, path in enumerate(self._paths):
            if place == len(self._read):
                self._read.append(FontFile(path, *_coverage(path)))
            yield self._read[place]


@lru_cache(maxsize=1)
def installed_fonts() -> InstalledFonts:
    """Those of the folders that fontconfig knows by default, macOS's too."""
    home = os.environ.get("HOME", "")
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = os.environ.get("XDG_DATA_HOME") or (home and f"{home}/.local/share")
    folders = [Path(name, "fonts") for name in (own, *shared.split(":")) if name]
    if home:
        folders.append(Path(home, ".fonts"))
    return InstalledFonts((*folders, Path("/System/Library/Fonts"), Path("/Library/Fonts")))


def _files(folders: tuple[Path, ...]) -> Iterator[Path]:
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                if name.lower().endswith(_ENDINGS) and not any(word in name.lower() for word in _EMPTY):
                    yield Path(place) / name


def _rank(path: Path) -> tuple[bool, int, str]:
    name = path.name.lower()
    return not name.startswith(_PLAINEST), sum(word in name for word in _STYLES), str(path)


def _coverage(path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ranges of a font file's `cmap`; none where it cannot be read. Of a collection, the first font's."""
    try:
        with path.open("rb") as file:
            ranges = sorted(_ranges(_cmap(file)))
    except (OSError, struct.error):
        return (), ()
    return tuple(first for first, _ in ranges), tuple(last for _, last in ranges)


def _cmap(file: BinaryIO) -> bytes:
    """The table that maps characters to glyphs; empty where there is none."""
    head = file.read(16)
    start = struct.unpack(">I", head[12:])[0] if head[:4] == b"ttcf" else 0
    file.seek(start + 4)
    (count,) = struct.unpack(">H6x", file.read(8))
    for _ in range(count):
        tag, offset, length = struct.unpack(">4s4xII", file.read(16))
        if tag == b"cmap":
            file.seek(offset)
            return file.read(min(length, _MAX_TABLE_BYTES))
    return b""


def _ranges(cmap: bytes) -> Iterator[tuple[int, int]]:
    """The first and last characters of each range of a `cmap` table's fullest Unicode part."""
    if not cmap:
        return
    (count,) = struct.unpack_from(">2xH", cmap)
    parts = [struct.unpack_from(">HHI", cmap, 4 + 8 * number) for number in range(count)]
    known = [(_UNICODE_TABLES[part[:2]], part[2]) for part in parts if part[:2] in _UNICODE_TABLES]
    if not known:
        return
    offset = min(known)[1]
    (form,) = struct.unpack_from(">H", cmap, offset)
    if form == 12:
        (groups,) = struct.unpack_from(">I", cmap, offset + 12)
        numbers = struct.unpack_from(f">{3 * groups}I", cmap, offset + 16)
        yield from zip(numbers[::3], numbers[1::3], strict=True)
    elif form == 4:
        segments = struct.unpack_from(">H", cmap, offset + 6)[0] // 2
        ends = struct.unpack_from(f">{segments}H", cmap, offset + 14)
        starts = struct.unpack_from(f">{segments}H", cmap, offset + 16 + 2 * segments)
        yield from zip(starts, ends, strict=True)
