"""Odd Parquet files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.odd_manifests.case import Odd


def parquet(columns: Mapping[str, pa.Array] | Sequence[tuple[str, pa.Array]], **options: object) -> bytes:
    """A Parquet file of these columns."""
    pairs = list(columns.items()) if isinstance(columns, Mapping) else list(columns)
    out = io.BytesIO()
    table = pa.table([array for _, array in pairs], names=[name for name, _ in pairs])
    pq.write_table(table, out, **options)
    return out.getvalue()


def lying(data: bytes) -> pa.Array:
    """A string array of one value that is not UTF-8."""
    offsets = pa.py_buffer(b"\0\0\0\0" + len(data).to_bytes(4, "little"))
    return pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(data)])


def damaged(data: bytes, at: int) -> bytes:
    """The same bytes, 64 of them changed from `at` on."""
    return data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 64]) + data[at + 64 :]


A = pa.array(["a", None, ""])
LONG = parquet(
    {"prompt": pa.array([f"thing {i} {i * i}" for i in range(9_000)])},
    row_group_size=3_000,
    use_dictionary=False,
    compression="gzip",
    write_page_checksum=True,
)

PARQUETS = (
    Odd(
        "null and empty",
        "a.parquet",
        parquet({"prompt": A, "tag": A}),
        ["a", None, ""],
        locations=["row 0", "row 1", "row 2"],
        extras={"tag": ["a", None, ""]},
    ),
    Odd(
        "integers as ids",
        "a.parquet",
        parquet({"prompt": pa.array(["a", "b"]), "id": pa.array([7, 2**63 - 1])}),
        ["a", "b"],
        ids=["7", "9223372036854775807"],
    ),
    Odd(
        "unsigned integers",
        "a.parquet",
        parquet({"prompt": pa.array(["a"]), "id": pa.array([2**64 - 1], pa.uint64())}),
        ["a"],
        ids=["18446744073709551615"],
    ),
    Odd(
        "floats as ids",
        "a.parquet",
        parquet({"prompt": A, "id": pa.array([1.0, None, 0.1])}),
        ["a", None, ""],
        ids=["1.0", None, "0.1"],
    ),
    Odd(
        "booleans as ids",
        "a.parquet",
        parquet({"prompt": A, "id": pa.array([True, False, None])}),
        ["a", None, ""],
        ids=["true", "false", None],
    ),
    Odd(
        "decimals as ids",
        "a.parquet",
        parquet({"prompt": pa.array(["a"]), "id": pa.array([1]).cast(pa.decimal128(21, 2))}),
        ["a"],
        ids=["1.00"],
    ),
    Odd(
        "dates as ids",
        "a.parquet",
        parquet({"prompt": pa.array(["a"]), "id": pa.array([0], pa.int32()).cast(pa.date32())}),
        ["a"],
        ids=["1970-01-01"],
    ),
    Odd(
        "prompts in a dictionary",
        "a.parquet",
        parquet({"prompt": A.dictionary_encode(), "tag": A.dictionary_encode()}),
        ["a", None, ""],
        extras={"tag": ["a", None, ""]},
    ),
    Odd(
        "large strings",
        "a.parquet",
        parquet({"prompt": A.cast(pa.large_string()), "tag": A.cast(pa.large_string())}),
        ["a", None, ""],
        extras={"tag": ["a", None, ""]},
    ),
    Odd("string views", "a.parquet", parquet({"prompt": A.cast(pa.string_view())}), ["a", None, ""]),
    Odd(
        "bytes",
        "a.parquet",
        parquet({"prompt": pa.array([b"a", None, b"\xff"]), "tag": pa.array([b"\xff", b"", None])}),
        ["a", None, None],
        malformed={2: "row 2: column 'prompt' holds bytes that are not UTF-8"},
        extras={"tag": [b"\xff", b"", None]},
    ),
    Odd(
        "strings that are not UTF-8",
        "a.parquet",
        parquet({"prompt": lying(b"\xffab"), "id": pa.array(["x"])}),
        [None],
        ids=["x"],
        malformed={0: "not UTF-8"},
    ),
    Odd(
        "extras that are not UTF-8",
        "a.parquet",
        parquet({"prompt": pa.array(["a"]), "tag": lying(b"\xffab")}),
        ["a"],
        extras={"tag": ["\\xffab"]},
    ),
    Odd(
        "nulls only",
        "a.parquet",
        parquet({"prompt": pa.nulls(2), "tag": pa.nulls(2)}),
        [None, None],
        extras={"tag": [None, None]},
    ),
    Odd(
        "lists as prompts",
        "a.parquet",
        parquet({"prompt": pa.array([["a"], None])}),
        [None, None],
        malformed={0: "column 'prompt' holds list<"},
    ),
    Odd(
        "nested extras",
        "a.parquet",
        parquet({"prompt": pa.array(["a"]), "x": pa.array([{"b": [1, None]}])}),
        ["a"],
        extras={"x": [{"b": [1, None]}]},
    ),
    Odd(
        "typed extras",
        "a.parquet",
        parquet(
            {
                "prompt": A,
                "i": pa.array([1, None, 3], pa.int16()),
                "f": pa.array([0.5, None, 1.0], pa.float32()),
            }
        ),
        ["a", None, ""],
        extras={"i": [1, None, 3], "f": [0.5, None, 1.0]},
    ),
    Odd(
        "repeated columns",
        "a.parquet",
        parquet(
            [
                ("prompt", pa.array(["a"])),
                ("prompt", pa.array(["b"])),
                ("t", pa.array([1])),
                ("t", pa.array([2])),
            ]
        ),
        ["a"],
        extras={"prompt_2": ["b"], "t": [1], "t_2": [2]},
    ),
    Odd(
        "columns with dots",
        "a.parquet",
        parquet({"prompt": pa.array(["a"]), "x.y": pa.array(["b"]), "x": pa.array([{"z": 1}])}),
        ["a"],
        extras={"x.y": ["b"], "x": [{"z": 1}]},
    ),
    Odd(
        "a column without a name",
        "a.parquet",
        parquet({"": pa.array([1]), "prompt": pa.array(["a"])}),
        ["a"],
        extras={"column_1": [1]},
    ),
    Odd(
        "another prompt column",
        "a.parquet",
        parquet({"prompt": pa.array(["a"]), "words": pa.array(["b"])}),
        ["b"],
        options={"prompt_col": "words"},
        extras={"prompt": ["a"]},
    ),
    Odd("no rows", "a.parquet", parquet({"prompt": pa.array([], pa.string())}), []),
    Odd("no columns", "a.parquet", parquet({}), error="it has no columns"),
    Odd("no prompt", "a.parquet", parquet({"words": A}), error="'words'"),
    Odd("several row groups", "a.parquet", LONG, [f"thing {i} {i * i}" for i in range(9_000)]),
    Odd("by its content", "a.data", parquet({"prompt": A}), ["a", None, ""]),
    Odd("the .pq name", "a.pq", parquet({"prompt": A}), ["a", None, ""]),
    Odd("an empty file", "a.parquet", b"", error="a.parquet cannot be read"),
    Odd("text", "a.parquet", b"prompt,n\na,1\n" * 10, error="a.parquet cannot be read"),
    Odd("without its footer", "a.parquet", LONG[:-40], error="a.parquet cannot be read"),
    Odd("a footer of nonsense", "a.parquet", damaged(LONG, len(LONG) - 100), error="a.parquet"),
    Odd(
        "a footer longer than the file",
        "a.parquet",
        LONG[:-8] + b"\xff\xff\xff\x7fPAR1",
        error="a.parquet cannot be read",
    ),
    Odd(
        "a damaged row group",
        "a.parquet",
        damaged(LONG, len(LONG) * 2 // 3),
        error="a.parquet cannot be read",
    ),
)
