"""Odd TSV files."""

from __future__ import annotations

from tests.support.odd_manifests.case import Odd

LONG = "long " * 200

TSVS = (
    Odd(
        "quotes are text",
        "a.tsv",
        b'prompt\tn\n"G I G G L E" painted\t1\n"PEACE"\t2\n',
        ['"G I G G L E" painted', '"PEACE"'],
    ),
    Odd("commas are text", "a.tsv", b"prompt\tn\na, b\t1\n", ["a, b"]),
    Odd("a quoted value with a tab", "a.tsv", b'prompt\tn\n"a\tb"\t1\n', ["a\tb"]),
    Odd("a quoted value with doubled quotes", "a.tsv", b'prompt\tn\n"say ""HI"""\t1\n', ['say "HI"']),
    Odd(
        "a quoted value over two lines",
        "a.tsv",
        b'prompt\tn\n"a\nb"\t1\nc\t2\n',
        ["a\nb", "c"],
        locations=["line 2", "line 4"],
    ),
    Odd(
        "a quoted value over two lines in the last column",
        "a.tsv",
        b'n\tprompt\n1\t"a\nb"\n2\tc\n',
        ["a\nb", "c"],
    ),
    Odd(
        "two quoted values over lines",
        "a.tsv",
        b'prompt\tnote\n"a\nb"\t"c\n\nd"\ne\tf\n',
        ["a\nb", "e"],
        extras={"note": ["c\n\nd", "f"]},
    ),
    Odd(
        "a first and a last quote that would swallow",
        "a.tsv",
        b'prompt\tn\n"Hello world\t1\nhi there"\t2\nc\t3\n',
        ['"Hello world', 'hi there"', "c"],
    ),
    Odd(
        "a swallow in the last column",
        "a.tsv",
        b'n\tprompt\n1\t"once\n2\tmiddle\n3\tend"\n',
        ['"once', "middle", 'end"'],
    ),
    Odd("a quote that never closes", "a.tsv", b'prompt\tn\n"a\t1\nb\t2\n', ['"a', "b"]),
    Odd(
        "a quote that never closes, for longer than the bound",
        "a.tsv",
        b'prompt\tn\n"a\t1\n' + (LONG + "\t2\n").encode() * 3_000,
        ['"a'] + [LONG] * 3_000,
    ),
    Odd(
        "quotes that chain line to line for ever",
        "a.tsv",
        b"prompt\tn\n" + b'a"\t"\n' * 10_000,
        ['a"'] * 10_000,
    ),
    Odd("quoting throughout", "a.tsv", b'"prompt"\t"n"\n"PEACE"\t"1"\n"a ""b"""\t"2"\n', ["PEACE", 'a "b"']),
    Odd(
        "quoting throughout with a stray quote",
        "a.tsv",
        b'"prompt"\t"n"\n"a" b\t"1"\n"c"\t"2"\n',
        [None, "c"],
        malformed={0: "its quotes do not match"},
    ),
    Odd("a single quoted quote", "a.tsv", b'prompt\tn\n""""\t1\n', ['"']),
    Odd("a lone quote", "a.tsv", b'prompt\tn\n"\t1\n""\t2\n', ['"', '""']),
    Odd(
        "a short record",
        "a.tsv",
        b"prompt\tn\na\nb\t1\n",
        [None, "b"],
        malformed={0: "line 2: has 1 field, the header has 2"},
    ),
    Odd("a record of tabs", "a.tsv", b"prompt\tn\n\t\n", [""]),
    Odd("one column", "a.tsv", b'prompt\na, "b"\n\n"c"\n', ['a, "b"', '"c"']),
    Odd("CR LF", "a.tsv", b'prompt\tn\r\n"a\r\nb"\t1\r\nc\t2\r\n', ["a\r\nb", "c"]),
    Odd("the .tab name", "a.tab", b"prompt\tn\na\t1\n", ["a"]),
    Odd("no tab in the header, but commas", "a.tsv", b"prompt,n\na,1\n", ["a"]),
    Odd(
        "a short record keeps its id",
        "a.tsv",
        b"id\tprompt\tn\n7\ta\n",
        [None],
        ids=["7"],
        malformed={0: "2 fields"},
    ),
    Odd("Latin-1", "a.tsv", b"prompt\tn\nDal\xed\t1\nb\t2\n", [None, "b"], malformed={0: "byte 12"}),
)
