"""A file of picks: which images a person has looked at, with a rating, a tag and a note each.

The report writes it as `picks.csv`; a person may edit it, in a spreadsheet too, so every line is checked. A pick is of one
image: row, index and the digest of the file that was looked at. Where that has another file by now, the pick is stale.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from runner.text.wording import count_text
from schemas.errors import JobError
from schemas.results import passthrough_name

PICK_FIELDS = ("row_id", "image_index", "sha256", "rating", "tag", "note")
"""The header of the file."""
OWN_COLUMNS = (("rating", pa.int8()), ("tag", pa.string()), ("note", pa.string()))
"""What a pick adds to a results row. rating: 1 to 5, 0 for a rejected image (key x), null for none."""
MAX_BYTES = 256 * 2**20
_SHOWN = 10
_REJECTED = frozenset({"x", "X"})


class Pick(NamedTuple):
    """What was said of one image. sha256: of the file that was looked at; "" where the file does not say."""

    sha256: str
    rating: int | None
    tag: str
    note: str


@dataclass
class Picks:
    """The picks of one file. source: its name. used, stale: how many met an image, or a file that has changed since."""

    source: str
    by_image: Mapping[tuple[str, int], Pick]
    used: int = 0
    stale: int = 0
    _met: set[tuple[str, int]] = field(default_factory=set)

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The results columns and the picks' own. A manifest's column of such a name gets a prefix."""
        own = {name for name, _ in OWN_COLUMNS}
        taken = own | set(schema.names)
        fields = [
            each.with_name(passthrough_name(each.name, taken)) if each.name in own else each
            for each in schema
        ]
        return pa.schema([*fields, *(pa.field(name, kind) for name, kind in OWN_COLUMNS)])

    def picked(self, table: pa.Table) -> pa.Table:
        """The lines that were picked, with rating, tag and note; stale picks are left out and counted."""
        lines, found = [], []
        keys = zip(
            *(table.column(name).to_pylist() for name in ("row_id", "image_index", "sha256")), strict=True
        )
        for line, (row_id, index, digest) in enumerate(keys):
            pick = self.by_image.get((row_id, index))
            if pick is None:
                continue
            self._met.add((row_id, index))
            if pick.sha256 and pick.sha256 != (digest or ""):
                self.stale += 1
                continue
            self.used += 1
            lines.append(line)
            found.append(pick)
        chosen = table.take(pa.array(lines, pa.int64()))
        columns = [pa.array([getattr(pick, name) for pick in found], kind) for name, kind in OWN_COLUMNS]
        return pa.Table.from_arrays([*chosen.columns, *columns], schema=self.schema(table.schema))

    def unmet(self) -> list[tuple[str, int]]:
        """Images that no line had, once all were read: of another folder, or of rows that are gone."""
        return [key for key in self.by_image if key not in self._met]

    def refuse_foreign(self) -> None:
        """Raises JobError where not one pick is of this folder."""
        if self.by_image and not self._met:
            raise JobError(
                f"{self.source}: none of its {count_text(len(self.by_image), 'pick')} is of this folder",
                fix="name the folder whose report it was saved from",
            )


def read_picks(path: Path) -> Picks:
    """The picks of a file, which may be edited by hand. Raises JobError (exit 2) that lists the lines that are none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise JobError(f"--picks {path}: larger than {MAX_BYTES // 2**20} MB", fix="is it a picks file?")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise JobError(
            f"--picks {path}: {error.strerror}", fix="name a file that a report has saved"
        ) from None
    except UnicodeDecodeError as error:
        raise JobError(
            f"--picks {path}: not UTF-8 text (byte {error.start})", fix="save it as UTF-8"
        ) from None
    return Picks(str(path), _checked(str(path), text))


def _checked(source: str, text: str) -> dict[tuple[str, int], Pick]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in ("row_id", "image_index") if name not in header]
    if missing:
        raise JobError(
            f"--picks {source}: has no column {' and '.join(missing)}",
            fix=f"its columns are {', '.join(PICK_FIELDS)}",
        )
    found: dict[tuple[str, int], Pick] = {}
    problems: list[str] = []
    for line, cells in _lines(reader, source):
        if not any(cell.strip() for cell in cells):
            continue
        key, pick, problem = _read(dict(zip(header, cells, strict=False)))
        if problem is None and key in found:
            problem = f"{key[0]}, image {key[1]}: picked twice"
        if problem is not None:
            problems.append(f"line {line}: {problem}")
            continue
        found[key] = pick
    if problems:
        more = [f"… and {len(problems) - _SHOWN:,} more"] if len(problems) > _SHOWN else []
        raise JobError(
            "\n  ".join(
                [
                    f"--picks {source}: {count_text(len(problems), 'line')} cannot be read",
                    *problems[:_SHOWN],
                    *more,
                ]
            ),
            fix="mend the lines, or save the picks again from the report",
        )
    return found


def _lines(reader: Iterable[list[str]], source: str) -> Iterator[tuple[int, list[str]]]:
    lines = iter(reader)
    while True:
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise JobError(f"--picks {source}: {error}", fix="save it as CSV again") from None
        yield lines.line_num, cells  # type: ignore[attr-defined]


def _read(values: Mapping[str, str]) -> tuple[tuple[str, int], Pick, str | None]:
    """One line: image, pick, and what is wrong with it."""
    row_id, index = _plain(values.get("row_id", "")), values.get("image_index", "").strip()
    rating, digest = values.get("rating", "").strip(), values.get("sha256", "").strip().lower()
    number = 0 if rating in _REJECTED else int(rating) if rating.isascii() and rating.isdigit() else None
    problem = None
    if not row_id:
        problem = "row_id is empty"
    elif not (index.isascii() and index.isdigit() and len(index) < 5):
        problem = f"image_index {index!r} is no number from 0"
    elif rating and (number is None or number > 5):
        problem = f"rating {rating!r} is not 1 to 5, 0 or x"
    elif digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
        problem = f"sha256 {digest[:20]!r} is no digest"
    if problem is not None:
        return ("", 0), Pick("", None, "", ""), problem
    pick = Pick(digest, number, _plain(values.get("tag", "")), _plain(values.get("note", "")))
    return (row_id, int(index)), pick, None


def _plain(text: str) -> str:
    """A cell without the apostrophe that keeps a spreadsheet from reading it as a formula."""
    return (
        text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@", "\t", "\r") and text[1:2] else text
    )
