"""Odd text files, compressed files, and files whose names do not tell what they are."""

from __future__ import annotations

import gzip

import pyarrow as pa

from tests.support.odd_manifests.case import Odd

MIB = 1024 * 1024


def zstd(data: bytes) -> bytes:
    """One zstd frame."""
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


LONG_CSV = b"prompt,n\n" + b"".join(b"a photo of thing %d,%d\n" % (i, i * i) for i in range(20_000))

PLAIN = (
    Odd(
        "lines as they are",
        "a.txt",
        b'a, "b"\n  c  \nNA\n\tid\n',
        ['a, "b"', "  c  ", "NA", "\tid"],
        locations=["line 1", "line 2", "line 3", "line 4"],
    ),
    Odd("CR LF without a last line end", "a.txt", b"a\r\nb", ["a", "b"]),
    Odd("all three line ends", "a.txt", b"a\rb\r\nc\nd\r", ["a", "b", "c", "d"]),
    Odd(
        "empty lines inside and at the end",
        "a.txt",
        b"a\n\n\r\nb\n\n\r\n\n",
        ["a", "b"],
        locations=["line 1", "line 4"],
    ),
    Odd("empty lines first", "a.txt", b"\n\na\n", ["a"], locations=["line 3"]),
    Odd(
        "lines of blanks",
        "a.txt",
        "a\n  \n\t\n\u00a0\u3000\nb".encode(),
        ["a", "b"],
        locations=["line 1", "line 5"],
    ),
    Odd("an empty file", "a.txt", b"", []),
    Odd("empty lines only", "a.txt", b"\n\n\n", []),
    Odd(
        "separators that end no line",
        "a.txt",
        "a\u2028b\x0bc\x0cd\x85e\x1cf\n".encode(),
        ["a\u2028b\x0bc\x0cd\x85e\x1cf"],
    ),
    Odd("a UTF-8 mark", "a.txt", b"\xef\xbb\xbfa\n", ["a"]),
    Odd("UTF-16", "a.txt", "a\r\n\u00e9\r\n".encode("utf-16"), ["a", "\u00e9"]),
    Odd("Latin-1", "a.txt", b"a\nDal\xed\nb\n", ["a", None, "b"], malformed={1: "line 2: byte 5"}),
    Odd("a header is a prompt", "a.txt", b"prompt\na\n", ["prompt", "a"]),
    Odd("NUL", "a.txt", b"a\0b\n", ["a\0b"]),
    Odd(
        "CR LF over a chunk's end",
        "a.txt",
        b"a" * (16 * 1024 - 1) + b"\r\nb\r\n",
        ["a" * (16 * 1024 - 1), "b"],
    ),
    Odd("CR over a chunk's end", "a.txt", b"a" * (16 * 1024 - 1) + b"\rb\r", ["a" * (16 * 1024 - 1), "b"]),
    Odd(
        "a character over a chunk's end",
        "a.txt",
        b"a" * (16 * 1024 - 1) + "é\n".encode(),
        ["a" * (16 * 1024 - 1) + "é"],
    ),
    Odd("a line of exactly the cap", "a.txt", b"x" * (4 * MIB) + b"\r\nb\n", ["x" * (4 * MIB), "b"]),
    Odd(
        "a line of one byte more",
        "a.txt",
        b"a\n" + b"x" * (4 * MIB + 1) + b"\r\nb\n",
        ["a", None, "b"],
        malformed={1: "more than 4 MiB"},
    ),
    Odd(
        "a long line that ends with CR",
        "a.txt",
        b"x" * (9 * MIB) + b"\rb\r",
        [None, "b"],
        malformed={0: "line 1"},
    ),
    Odd(
        "bytes after a long line are counted",
        "a.txt",
        b"x" * (5 * MIB) + b"\n\xff\n",
        [None, None],
        malformed={0: "4 MiB", 1: f"byte {5 * MIB + 1:,}"},
    ),
    Odd(
        "another column by name",
        "a.txt",
        b"a\n",
        options={"prompt_col": "caption"},
        error="has no column 'caption'",
    ),
)

TABLES = (
    Odd(
        "Excel's Unicode text",
        "a.txt",
        'id\tprompt\tsize\r\n1\ta fox\t1024x1024\r\n2\t"a\ttab"\t\r\n'.encode("utf-16"),
        ["a fox", "a\ttab"],
        ids=["1", "2"],
        locations=["line 2", "line 3"],
    ),
    Odd("commas", "a.txt", b'prompt,size\n"a, b",1x1\n', ["a, b"]),
    Odd("semicolons", "a.txt", b'\n"id";"caption"\n"1";"a"\n', ["a"], ids=["1"]),
    Odd("bars", "a.txt", b"id|text\n1|a\n", ["a"], ids=["1"]),
    Odd("a line that names the delimiter", "a.txt", b"sep=;\nwords;prompt\nx;a\n", ["a"]),
    Odd("a column by option", "a.txt", b"id\twords\n1\ta\n", ["a"], options={"prompt_col": "words"}),
    Odd("a header alone", "a.txt", b"id\tprompt\n", []),
    Odd("gzip", "a.txt.gz", gzip.compress(b"id\tprompt\n1\ta\n"), ["a"], ids=["1"]),
    Odd(
        "JSON lines",
        "a.txt",
        b'\n{"id": 1, "prompt": "a"}\n{"id": 2, "prompt": "b"}\n',
        ["a", "b"],
        ids=["1", "2"],
    ),
    Odd("a JSON list", "a.txt", b'["a", "b"]\n', ["a", "b"]),
    Odd("a JSON list over lines", "a.txt", b'[\n{"prompt": "a"}\n]\n', ["a"]),
    Odd("braces and brackets are text", "a.txt", b"{a|b} fox\n[cat], text\n", ["{a|b} fox", "[cat], text"]),
    Odd(
        "prompts with commas and a column's name",
        "a.txt",
        b"prompt, a photo of a very small fox\ntext, b\n",
        ["prompt, a photo of a very small fox", "text, b"],
    ),
    Odd(
        "a first line that may be a header",
        "a.txt",
        b"text, blue neon\na fox, blue neon\n",
        error="name it .csv or .tsv where it is a table; where each line is a prompt, put another line first",
    ),
    Odd(
        "a header without its records",
        "a.txt",
        b"text,caption\na fox\nan owl\na hare, x\n",
        error="line 1 looks like the header of a table ('text,caption')",
    ),
)

PACKED = (
    Odd("gzip", "a.csv.gz", gzip.compress(b"id,prompt\n007,a\n"), ["a"], ids=["007"]),
    Odd("gzip of two members", "a.txt.gz", gzip.compress(b"a\nb") + gzip.compress(b"c\n"), ["a", "bc"]),
    Odd("zstd", "a.jsonl.zst", zstd(b'{"prompt": "a"}\n'), ["a"]),
    Odd("zstd of two frames", "a.txt.zst", zstd(b"a\n") + zstd(b"b\n"), ["a", "b"]),
    Odd("long gzip", "a.csv.gz", gzip.compress(LONG_CSV), [f"a photo of thing {i}" for i in range(20_000)]),
    Odd("long zstd", "a.csv.zst", zstd(LONG_CSV), [f"a photo of thing {i}" for i in range(20_000)]),
    Odd("gzip without the name", "a.csv", gzip.compress(b"prompt\na\n"), ["a"]),
    Odd("the name without gzip", "a.csv.gz", b"prompt\na\n", ["a"]),
    Odd(
        "gzip cut off in the head",
        "a.csv.gz",
        gzip.compress(LONG_CSV)[:100],
        error="ends too early or is damaged",
    ),
    Odd(
        "gzip cut off later",
        "a.csv.gz",
        gzip.compress(LONG_CSV)[:-20_000],
        error="ends too early or is damaged",
    ),
    Odd("gzip damaged later", "a.csv.gz", gzip.compress(LONG_CSV)[:-3] + b"\0\0\0", error="damaged"),
    Odd(
        "zstd cut off",
        "a.csv.zst",
        zstd(LONG_CSV)[:-1_000],
        error="cannot be read: Truncated compressed stream",
    ),
    Odd(
        "zstd with something behind it",
        "a.csv.zst",
        zstd(LONG_CSV) + b"prompt",
        error="a.csv.zst cannot be read",
    ),
    Odd("no gzip at all behind its first bytes", "a.csv.gz", b"\x1f\x8bxxxx", error="damaged"),
    Odd(
        "a bomb of one line",
        "a.txt.gz",
        gzip.compress(b"x" * (64 * MIB), 1),
        [None],
        malformed={0: "more than 4 MiB"},
    ),
)

NAMES = (
    Odd("JSON lines", "a.dat", b'\n {"prompt": "a"}\n', ["a"]),
    Odd("a JSON array", "a", b'["a"]', ["a"]),
    Odd("a tab in the header", "a.data", b"prompt\tn\na\t1\n", ["a"]),
    Odd("a comma in the header", "a.data", b"\xef\xbb\xbfid,prompt\n1,a\n", ["a"]),
    Odd("a header of one column", "a.data", b'"prompt"\r\na\r\n', ["a"]),
    Odd("a header of one column by option", "a.data", b"words\na\n", ["a"], options={"prompt_col": "words"}),
    Odd("gzip of a comma in the header", "prompts.gz", gzip.compress(b"id,prompt\n1,a\n"), ["a"]),
    Odd("UTF-16", "a.data", "id,prompt\n1,a\n".encode("utf-16"), ["a"]),
    Odd("plain text", "a.md", b"a photo\na dog\n", error="neither its name nor its content tells"),
    Odd("an empty file", "a.dat", b"", error="name it .csv"),
    Odd("bytes", "a.bin", bytes(range(256)), error="a.bin"),
    Odd("capitals", "A.CSV", b"prompt\na\n", ["a"]),
    Odd("dots in the name", "v1.2.csv", b"prompt\na\n", ["a"]),
    Odd("a spreadsheet", "a.xlsx", b"PK\x03\x04", error="save the sheet as CSV"),
    Odd("an archive", "a.zip", b"PK\x03\x04", error="unpack it"),
    Odd("a packed archive", "a.tar.gz", gzip.compress(b"x"), error="unpack it"),
    Odd(
        "a control character in the name",
        "a\nb\x1b.csv",
        b"words\na\n",
        error=r"a\nb\x1b.csv has no prompt column",
    ),
)

TEXTS = PLAIN + TABLES + PACKED + NAMES
