"""G0: what common writers write comes back value for value, in order."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.manifest.columns import ALIASES
from runner.manifest.lines import line_blocks
from runner.manifest.open import open_manifest
from tests.support.manifest_readback import Found, read_back

AWKWARD = st.sampled_from(
    [*list("ab\"',;\t\n\r \\{}[]:\x00é漢🎨\ufeff\u2028\x85\x1c"), "\r\n", '""', "NA", "007"]
)
TEXT = st.lists(AWKWARD, max_size=12).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=20
)
ROWS = st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=8)
COLUMNS = ("id", "prompt", "tag")
EXAMPLES = settings(deadline=None, max_examples=60)


def written(name: str, write: Callable[[Path], object]) -> Found:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return read_back(open_manifest(path))


def check(found: Found, rows: list[tuple[str, str, str]]) -> None:
    assert not found.malformed
    back = zip(found.ids, found.prompts, found.extras["tag"], strict=True)
    assert list(back) == rows


def csv_bytes(rows: list[tuple[str, str, str]], **dialect: Any) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, **dialect).writerows([COLUMNS, *rows])
    return out.getvalue().encode()


@EXAMPLES
@given(ROWS, st.sampled_from(["\r\n", "\n"]), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
def test_csv_writer_quoting_all(rows: list[tuple[str, str, str]], line_end: str, quoting: int) -> None:
    data = csv_bytes(rows, lineterminator=line_end, quoting=quoting)
    check(written("a.csv", lambda path: path.write_bytes(data)), rows)


@EXAMPLES
@given(ROWS)
def test_csv_writer_as_it_comes(rows: list[tuple[str, str, str]]) -> None:
    data = csv_bytes(rows)
    check(written("a.csv", lambda path: path.write_bytes(data)), rows)


@EXAMPLES
@given(ROWS)
def test_csv_writer_with_semicolons(rows: list[tuple[str, str, str]]) -> None:
    data = csv_bytes(rows, delimiter=";")
    check(written("a.csv", lambda path: path.write_bytes(data)), rows)


@EXAMPLES
@given(ROWS)
def test_tsv_quoted_throughout(rows: list[tuple[str, str, str]]) -> None:
    data = csv_bytes(rows, delimiter="\t", quoting=csv.QUOTE_ALL)
    check(written("a.tsv", lambda path: path.write_bytes(data)), rows)


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"), max_size=20)


@EXAMPLES
@given(st.lists(st.tuples(PLAIN, PLAIN, PLAIN), min_size=1, max_size=8))
def test_tsv_without_quoting(rows: list[tuple[str, str, str]]) -> None:
    """Unless a value looks like one that had to be quoted, nothing in it is touched."""
    rows = [row for row in rows if not any('""' in value for value in row)]
    data = "\n".join("\t".join(row) for row in [COLUMNS, *rows]).encode() + b"\n"
    check(written("a.tsv", lambda path: path.write_bytes(data)), rows)


@EXAMPLES
@given(ROWS)
def test_pandas_to_csv(rows: list[tuple[str, str, str]]) -> None:
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    found = written("a.csv", lambda path: frame.to_csv(path, index=False, lineterminator="\r\n"))
    check(found, rows)


def is_told_apart(rows: list[tuple[str, str, str]]) -> bool:
    """Whether no record runs over lines each of which would be a record of its own without quoting."""
    written_rows = (csv_bytes([row], delimiter="\t").splitlines()[1:] for row in rows)
    return not any(len(lines) > 1 and all(line.count(b"\t") == 2 for line in lines) for lines in written_rows)


@EXAMPLES
@given(ROWS.filter(is_told_apart))
def test_pandas_to_tsv(rows: list[tuple[str, str, str]]) -> None:
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    found = written("a.tsv", lambda path: frame.to_csv(path, sep="\t", index=False, lineterminator="\r\n"))
    check(found, rows)


@EXAMPLES
@given(ROWS, st.booleans())
def test_pandas_to_parquet(rows: list[tuple[str, str, str]], with_index: bool) -> None:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    check(written("a.parquet", lambda path: frame.to_parquet(path, index=with_index)), rows)


@EXAMPLES
@given(ROWS)
def test_pandas_frames(rows: list[tuple[str, str, str]]) -> None:
    check(read_back(open_manifest(pd.DataFrame(rows, columns=list(COLUMNS), dtype=object))), rows)


@EXAMPLES
@given(ROWS, st.booleans(), st.sampled_from([None, 2]))
def test_json_lines_and_arrays(
    rows: list[tuple[str, str, str]], ascii_only: bool, indent: int | None
) -> None:
    objects = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    lines = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in objects).encode()
    check(written("a.jsonl", lambda path: path.write_bytes(lines)), rows)
    array = json.dumps(objects, ensure_ascii=ascii_only, indent=indent).encode()
    check(written("a.json", lambda path: path.write_bytes(array)), rows)


READ = {"prompt", *ALIASES["id"]}
"""What imagemill reads itself; these cells must be text or numbers."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@EXAMPLES
@given(st.dictionaries(TEXT.filter(lambda key: key not in READ), JSON, max_size=4), st.booleans())
def test_json_values_keep_their_source_text(values: dict[str, object], spaced: bool) -> None:
    separators = (" , ", " : ") if spaced else (",", ":")
    line = json.dumps({"prompt": "a", **values}, separators=separators).encode()
    found = written("a.jsonl", lambda path: path.write_bytes(line))
    assert not found.malformed
    for key, value in values.items():
        role = "id" if key in ALIASES["id"] else key
        carried = found.extras[key] if key in found.extras else found.roles.get(role, [None])
        as_text = (
            value if value is None or isinstance(value, str) else json.dumps(value, separators=separators)
        )
        assert carried == [as_text]


@EXAMPLES
@given(
    st.lists(st.binary(max_size=12) | st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"\xff"]), max_size=30),
    st.data(),
)
def test_lines_do_not_depend_on_chunks(parts: list[bytes], data: st.DataObject) -> None:
    """Bytes come back as they were, split where they end a line, however the file is read."""
    whole = b"a" + b"".join(parts)
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1))

    class Dripping:
        def __init__(self) -> None:
            self.at = 0

        def read(self, size: int, /) -> bytes:
            step = min(size, sizes[self.at % len(sizes)])
            self.at += step
            return whole[self.at - step : self.at]

    lines = [line for block in line_blocks(Dripping()) for line in block.lines]
    assert [line.encode("utf-8", "surrogateescape") for line in lines] == whole.splitlines(keepends=True)
