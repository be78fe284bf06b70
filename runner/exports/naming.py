"""Names of exported files: from a template over columns, safe on every file system, and checked before anything is written.

Cells are hostile text. What a file system or a loader could read otherwise is replaced, and a name that was changed so gets
a digest of what it was: two texts never become one name silently.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from string import Formatter
from typing import Any

from schemas.errors import JobError

MAX_NAME_BYTES = 180
"""Of a name without its ending: 255 is the least that file systems take, and loaders put something before and behind it."""
DEFAULT_NAME = "{row_id}-{image_index}"
_UNSAFE = frozenset('/\\:*?"<>|')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?")
_SPEC = re.compile(r"(0?[1-9]?[0-9])?d?")
_SHOWN = 5


def safe_name(text: str, *, also: str = "", most_bytes: int = MAX_NAME_BYTES, mark: bool = True) -> str:
    """The text as one part of a path. also: more characters to replace. Texts that differ have names that differ,

    unless `mark` is false: then something else in the name must tell them apart.
    """
    name = "".join("_" if _is_unsafe(char, also) else char for char in text)
    if name.startswith((".", "-", " ", "~")):
        name = f"_{name[1:]}"
    name = re.sub(r"[. ]+$", lambda found: "_" * len(found[0]), name)
    if not name or _RESERVED.fullmatch(name):
        name = f"_{name}"
    if name == text and len(name.encode()) <= most_bytes:
        return name
    ending = f"-{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=6).hexdigest()}" if mark else ""
    return name.encode()[: most_bytes - len(ending)].decode("utf-8", "ignore") + ending


def _is_unsafe(char: str, also: str) -> bool:
    """Separators, Windows' own, and what cannot be seen: control, bidi, surrogate, unassigned."""
    return char in _UNSAFE or char in also or (char != " " and unicodedata.category(char)[0] in "CZ")


@dataclass(frozen=True)
class NameTemplate:
    """A name with columns in braces, such as `{row_id}-{image_index}` or `{row:06d}`."""

    text: str
    _parts: tuple[tuple[str, str | None, str], ...]

    @classmethod
    def read(cls, text: str) -> NameTemplate:
        """Raises JobError where it is none. Whether the columns are there is asked by `check`."""
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise _refusal(text, str(error)) from None
        for _, field, spec, conversion in parsed:
            if field is not None and (not field or conversion or not _SPEC.fullmatch(spec or "")):
                raise _refusal(text, "braces take a column's name, and for numbers a width such as :06d")
        parts = tuple((literal, field, spec or "") for literal, field, spec, _ in parsed)
        if not any(field for _, field, _ in parts):
            raise _refusal(text, "it names no column, so all images would have one name")
        return cls(text, parts)

    def check(self, columns: Iterable[str]) -> None:
        """Raises JobError where a column is not there."""
        known = set(columns)
        for _, field, _ in self._parts:
            if field is not None and field not in known:
                raise _refusal(self.text, f"there is no column {field!r}")

    def of(self, cells: Mapping[str, Any]) -> str:
        """The name of a results row, not made safe yet. Raises JobError for a width on what is no whole number."""
        found = []
        for literal, field, spec in self._parts:
            found.append(literal)
            if field is None:
                continue
            value = cells[field]
            if spec and (not isinstance(value, int) or isinstance(value, bool)):
                raise _refusal(self.text, f"{field!r} is no whole number in every row: leave out :{spec}")
            found.append("" if value is None else format(value, spec) if spec else str(value))
        return "".join(found)


def _refusal(text: str, why: str) -> JobError:
    return JobError(f"--name {text!r}: {why}", fix=f"for example --name '{DEFAULT_NAME}'")


class Names:
    """Every name of an export, once. Two that differ only in case or in how accents are written are one on many disks."""

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[str, int]] = {}
        self._clashes: list[str] = []
        self._count = 0

    def add(self, name: str, row_id: str, image_index: int) -> None:
        """Take in a name, relative to the destination."""
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        short = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        other = self._seen.setdefault(short, (row_id, image_index))
        if other != (row_id, image_index):
            self._count += 1
            if len(self._clashes) < _SHOWN:
                self._clashes.append(
                    f"{name}: {other[0]!r} image {other[1]}, and {row_id!r} image {image_index}"
                )

    def refuse_clashes(self) -> None:
        """Raises JobError where two images have one name."""
        if self._count:
            more = [f"… and {self._count - _SHOWN:,} more"] if self._count > _SHOWN else []
            raise JobError(
                "\n  ".join(
                    [f"{self._count:,} names are taken twice; nothing was written", *self._clashes, *more]
                ),
                fix="--name '{row}-{image_index}' is always unique",
            )
