"""Odd values, line ends and encodings in CSV files."""

from __future__ import annotations

from tests.support.odd_manifests.case import Odd

VALUES = (
    Odd(
        "words that mean nothing elsewhere",
        "a.csv",
        b"prompt\nNA\nnull\nNone\nnan\nTRUE\n",
        ["NA", "null", "None", "nan", "TRUE"],
    ),
    Odd(
        "numbers as ids",
        "a.csv",
        b"id,prompt\n007,a\n1e5,b\n12345678901234567890123,c\n0x1F,d\n",
        list("abcd"),
        ids=["007", "1e5", "12345678901234567890123", "0x1F"],
    ),
    Odd(
        "an embedded line feed",
        "a.csv",
        b'prompt,n\n"a\nb",1\nc,2\n',
        ["a\nb", "c"],
        locations=["line 2", "line 4"],
    ),
    Odd("an embedded CR LF in a CR LF file", "a.csv", b'prompt,n\r\n"a\r\nb",1\r\nc,2\r\n', ["a\r\nb", "c"]),
    Odd("an embedded lone CR", "a.csv", b'prompt,n\n"a\rb",1\n', ["a\rb"]),
    Odd("doubled quotes", "a.csv", b'prompt\n"a sign that says ""HI"""\n', ['a sign that says "HI"']),
    Odd(
        "quotes inside an unquoted value",
        "a.csv",
        b'prompt\na 6" ruler and 7" more\n',
        ['a 6" ruler and 7" more'],
    ),
    Odd("blanks at both ends", "a.csv", b"prompt,n\n  a b \t,1\n", ["  a b \t"]),
    Odd("a blank before a quote", "a.csv", b'prompt,n\n "a",1\n', [' "a"']),
    Odd("a quoted empty value", "a.csv", b'prompt,id\n"",x\n', [""], ids=["x"]),
    Odd(
        "an empty cell of a role and of an extra",
        "a.csv",
        b"id,prompt,tag\n,a,\n",
        ["a"],
        ids=[""],
        extras={"tag": [""]},
    ),
    Odd("NUL and control characters", "a.csv", b"prompt,n\na\x00b\x1b[31m\x07,1\n", ["a\0b\x1b[31m\x07"]),
    Odd(
        "line and paragraph separators that end no line",
        "a.csv",
        "prompt,n\na\u2028b\x85c\x0bd\x1ce,1\n".encode(),
        ["a\u2028b\x85c\x0bd\x1ce"],
    ),
    Odd("emoji and combining marks", "a.csv", "prompt\n👩‍🚀 e\u0301\n".encode(), ["👩‍🚀 e\u0301"]),
    Odd("template braces and markup", "a.csv", b"prompt\n{x} <b>%s</b> $HOME\n", ["{x} <b>%s</b> $HOME"]),
    Odd("ids that are paths", "a.csv", b"id,prompt\n../../x,a\nCON,b\n", ["a", "b"], ids=["../../x", "CON"]),
    Odd("a value of 200,000 characters", "a.csv", b"prompt,n\n" + b"x" * 200_000 + b",1\n", ["x" * 200_000]),
    Odd("no line end at the end", "a.csv", b"prompt,n\na,1", ["a"]),
    Odd("a quoted value at the very end", "a.csv", b'prompt,n\na,"1"', ["a"]),
)

LINE_ENDS = (
    Odd("CR only", "a.csv", b"prompt,n\ra,1\rb,2\r", ["a", "b"], locations=["line 2", "line 3"]),
    Odd("CR LF", "a.csv", b"prompt,n\r\na,1\r\nb,2\r\n", ["a", "b"]),
    Odd(
        "all three mixed",
        "a.csv",
        b"prompt,n\ra,1\nb,2\r\nc,3",
        ["a", "b", "c"],
        locations=["line 2", "line 3", "line 4"],
    ),
    Odd(
        "blank lines everywhere",
        "a.csv",
        b"\n\r\nprompt,n\n\na,1\n\n   \nb,2\n\n",
        ["a", "b"],
        locations=["line 5", "line 8"],
    ),
    Odd("a line of blanks in a file of one column", "a.csv", b"prompt\na\n  \n", ["a", "  "]),
    Odd("an empty quoted record in a file of one column", "a.csv", b'prompt\n""\n', [""]),
    Odd("commas only", "a.csv", b"prompt,n\n,\n", [""]),
)

ENCODINGS = (
    Odd("a UTF-8 mark", "a.csv", b"\xef\xbb\xbfprompt,n\na,1\n", ["a"]),
    Odd("a UTF-8 mark before a quote", "a.csv", b'\xef\xbb\xbf"prompt","n"\n"a","1"\n', ["a"]),
    Odd("two UTF-8 marks", "a.csv", b"\xef\xbb\xbf\xef\xbb\xbfprompt,n\na,1\n", ["a"]),
    Odd("a mark inside a value", "a.csv", "prompt\n\ufeffa\n".encode(), ["\ufeffa"]),
    Odd("UTF-16 little-endian", "a.csv", "\ufeffprompt,n\nDalí 👽,1\n".encode("utf-16-le"), ["Dalí 👽"]),
    Odd("UTF-16 big-endian", "a.csv", "\ufeffprompt,n\r\nDalí,1\r\n".encode("utf-16-be"), ["Dalí"]),
    Odd("UTF-32", "a.csv", "\ufeffprompt\na\n".encode("utf-32-le"), ["a"]),
    Odd(
        "UTF-16 with half a pair",
        "a.csv",
        "\ufeffprompt\na\n".encode("utf-16-le") + b"\x00\xd8\n\x00b\x00\n\x00",
        ["a", None, "b"],
        malformed={1: "save the file as UTF-8"},
    ),
    Odd(
        "UTF-16 cut in the middle of a character",
        "a.csv",
        "\ufeffprompt\na\nb".encode("utf-16-le")[:-1],
        ["a", None],
        malformed={1: "half a character"},
    ),
    Odd(
        "UTF-16 without a mark",
        "a.csv",
        "prompt,n\na,1\n".encode("utf-16-le"),
        error="UTF-16 without a byte order mark",
    ),
    Odd(
        "Latin-1 in one record",
        "a.csv",
        b"prompt,n\na,1\nDal\xed,2\nc,3\n",
        ["a", None, "c"],
        malformed={1: "line 3: byte 16 of the file (0xed) is not UTF-8"},
        locations=["line 2", "line 3", "line 4"],
    ),
    Odd(
        "what to do about Latin-1",
        "a.csv",
        b"prompt\nDal\xed\n",
        [None],
        malformed={0: "iconv -f WINDOWS-1252 -t UTF-8"},
    ),
    Odd(
        "Latin-1 in a quoted record of two lines",
        "a.csv",
        b'prompt,n\n"a\nDal\xed",2\nc,3\n',
        [None, "c"],
        malformed={0: "not UTF-8"},
    ),
    Odd(
        "Latin-1 costs the prompt and not the id",
        "a.csv",
        b'id,prompt,tag\n1,Dal\xed,x\n2,b,\xff\n"3 ""x""","a "b"",x\n4,"a "b"",x\n"5,a,b\n6,c,"x\ny" z\n7,d,e\n',
        [None, "b", None, None, None, None, None, "d"],
        ids=["1", "2", '3 "x"', "4", None, None, None, "7"],
        malformed={
            **dict.fromkeys((0, 1), "not UTF-8"),
            **dict.fromkeys((2, 3, 4, 5), "quotes do not match"),
            6: "has 1 field",
        },
        extras={"tag": ["x", None, None, None, None, None, None, "e"]},
    ),
    Odd(
        "the first field is no id",
        "a.csv",
        b"prompt,id\na, b,1\nc,2\n",
        [None, "c"],
        ids=[None, "2"],
        malformed={0: "3 fields"},
    ),
    Odd(
        "an encoded surrogate", "a.csv", b"prompt\n\xed\xa0\x80\nb\n", [None, "b"], malformed={0: "not UTF-8"}
    ),
    Odd("a header that is not UTF-8", "a.csv", b"prompt,caf\xe9\na,1\n", error="line 1, the header: byte 10"),
    Odd(
        "every record not UTF-8",
        "a.csv",
        b"prompt\n" + b"\xff\n" * 3,
        [None] * 3,
        malformed={0: "byte 7", 1: "byte 9", 2: "byte 11"},
    ),
)

CSV_VALUES = VALUES + LINE_ENDS + ENCODINGS
