"""Odd quotes, field counts and headers in CSV files."""

from __future__ import annotations

from tests.runner.manifest.odd.case import Odd

MIB = 1024 * 1024
LONG = "long " * 200

QUOTES = (
    Odd(
        "text after a closing quote",
        "a.csv",
        b'prompt,n\n"a" b,1\nc,2\n',
        [None, "c"],
        malformed={0: "line 2: its quotes do not match"},
    ),
    Odd(
        "an unclosed quote at the end",
        "a.csv",
        b'prompt,n\na,1\n"b,2\n',
        ["a", None],
        malformed={1: "line 3: its quotes do not match"},
    ),
    Odd(
        "an unclosed quote in the middle",
        "a.csv",
        b'prompt,n\n"a,1\nb,2\nc,3\n',
        [None, "b", "c"],
        malformed={0: "line 2"},
    ),
    Odd(
        "an unclosed quote before a quoted record",
        "a.csv",
        b'prompt,n\n"a,1\n"b","2"\nc,3\n',
        [None, "b", "c"],
        malformed={0: "its quotes do not match"},
    ),
    Odd(
        "an unclosed quote before one of two lines",
        "a.csv",
        b'prompt,n\nx,"a\n"b\nb",2\nc,3\n',
        [None, "b\nb", "c"],
        malformed={0: "line 2"},
    ),
    Odd(
        "a quote unclosed for more than the bound",
        "a.csv",
        b'prompt,n\n"a,1\n' + (LONG + ",2\n").encode() * 3_000,
        [None] + [LONG] * 3_000,
        malformed={0: "line 2"},
    ),
    Odd(
        "quotes that chain line to line for ever",
        "a.csv",
        b"prompt,n\n" + b'a","\n' * 20_000,
        [None] * 20_000,
        malformed=dict.fromkeys(range(20_000), "line "),
    ),
    Odd(
        "a value longer than the bound",
        "a.csv",
        b"prompt,n\n" + b"x" * (MIB + 1) + b",1\nb,2\n",
        [None, "b"],
        malformed={0: "line 2"},
    ),
    Odd(
        "a line longer than the cap",
        "a.csv",
        b"prompt,n\n" + b"x" * (4 * MIB + 1) + b",1\nb,2\n",
        [None, "b"],
        malformed={0: "line 2: the line has more than 4 MiB"},
    ),
    Odd(
        "a line longer than the cap at the end",
        "a.csv",
        b"prompt,n\na,1\n" + b"x" * (5 * MIB),
        ["a", None],
        malformed={1: "more than 4 MiB"},
    ),
)

WIDTHS = (
    Odd(
        "a short record",
        "a.csv",
        b"id,prompt,n,tag\n1,a,2\n2,b,1,x\n",
        [None, "b"],
        malformed={0: "line 2: has 3 fields, the header has 4"},
    ),
    Odd(
        "a long record",
        "a.csv",
        b"id,prompt\n1,a, b\n2,c\n",
        [None, "c"],
        malformed={0: "has 3 fields, the header has 2; put quotes around a value that holds ','"},
    ),
    Odd(
        "one field",
        "a.csv",
        b"id,prompt\n1\n2,c\n",
        [None, "c"],
        malformed={0: "has 1 field, the header has 2"},
    ),
    Odd(
        "a short record over two lines",
        "a.csv",
        b'id,prompt,n\n1,"a\nb"\n2,c,1\n',
        [None, None, "c"],
        malformed={0: "line 2: has 2 fields", 1: "line 3: has 1 field"},
    ),
    Odd(
        "extras of a malformed record",
        "a.csv",
        b"prompt,tag\na\nb,x\n",
        [None, "b"],
        malformed={0: "1 field"},
        extras={"tag": [None, "x"]},
    ),
)

HEADERS = (
    Odd("header only", "a.csv", b"prompt,n\n", []),
    Odd("header only, no line end", "a.csv", b"prompt", []),
    Odd("an empty file", "a.csv", b"", error="is empty: it has no header"),
    Odd("blank lines only", "a.csv", b"\n\n\r\n", error="is empty"),
    Odd("blank lines for longer than the bound", "a.csv", b"\n" * (2 * MIB) + b"prompt\na\n", ["a"]),
    Odd("no header", "a.csv", b"a photo of a cat\na dog\n", error="'a photo of a cat'"),
    Odd("no header: the option is named", "a.csv", b"a photo, of a cat\n", error="--prompt-col"),
    Odd("no prompt column", "a.csv", b"id,words\n1,a\n", error="its columns are: 'id', 'words'"),
    Odd(
        "a near miss in another case",
        "a.csv",
        b"id,PROMPT\n1,a\n",
        error="did you mean --prompt-col 'PROMPT'?",
    ),
    Odd("a near miss by a letter", "a.csv", b"id,promt\n1,a\n", error="did you mean --prompt-col 'promt'?"),
    Odd("another case by name", "a.csv", b"PROMPT\na\n", ["a"], options={"prompt_col": "PROMPT"}),
    Odd("blanks around names", "a.csv", b" id , prompt\t\n1,a\n", ["a"], ids=["1"]),
    Odd("quotes around names", "a.csv", b'"id","prompt"\n1,a\n', ["a"], ids=["1"]),
    Odd(
        "a name over two lines",
        "a.csv",
        b'"two\nlines",prompt\n1,a\n',
        ["a"],
        extras={"two\nlines": ["1"]},
        places=["line 3"],
    ),
    Odd(
        "quotes that do not match",
        "a.csv",
        b'"id" x,prompt\n1,a\n',
        error="line 1 should be the header, but its quotes do not match",
    ),
    Odd("an unclosed quote", "a.csv", b'"id,prompt\n1,a\n', error="should be the header"),
    Odd(
        "repeated extra columns",
        "a.csv",
        b"prompt,tag,tag,tag_2,tag\na,1,2,3,4\n",
        ["a"],
        extras={"tag": ["1"], "tag_3": ["2"], "tag_2": ["3"], "tag_4": ["4"]},
    ),
    Odd("repeated prompt columns", "a.csv", b"prompt,prompt\na,b\n", ["a"], extras={"prompt_2": ["b"]}),
    Odd(
        "columns without a name",
        "a.csv",
        b",prompt,\n0,a,x\n",
        ["a"],
        extras={"column_1": ["0"], "column_3": ["x"]},
    ),
    Odd(
        "all aliases of the prompt",
        "a.csv",
        b"caption,text,Prompts,Prompt\n1,2,3,4\n",
        ["4"],
        extras={"caption": ["1"], "text": ["2"], "Prompts": ["3"]},
    ),
    Odd(
        "all aliases of the id",
        "a.csv",
        b"prompt,item_id,key,row_id\na,1,2,3\n",
        ["a"],
        ids=["3"],
        extras={"item_id": ["1"], "key": ["2"]},
    ),
    Odd(
        "the prompt column that lost",
        "a.csv",
        b"prompt,words\na,b\n",
        ["b"],
        options={"prompt_col": "words"},
        extras={"prompt": ["a"]},
    ),
    Odd(
        "an id column by name",
        "a.csv",
        b"id,prompt,code\n1,a,x\n",
        ["a"],
        ids=["x"],
        options={"id_col": "code"},
        extras={"id": ["1"]},
    ),
    Odd(
        "a request field as id",
        "a.csv",
        b"prompt,size\na,x\n",
        ["a"],
        ids=["x"],
        options={"id_col": "size"},
        extras={},
    ),
    Odd(
        "a missing prompt column by name",
        "a.csv",
        b"prompt,words\na,b\n",
        options={"prompt_col": "word"},
        error="did you mean --prompt-col 'words'?",
    ),
    Odd(
        "a missing id column by name",
        "a.csv",
        b"prompt,words\na,b\n",
        options={"id_col": "zzz"},
        error="has no column 'zzz'; its columns are: 'prompt', 'words'",
    ),
    Odd(
        "more columns than anyone has",
        "a.csv",
        b"prompt" + b",x" * 5_000 + b"\n",
        error="more than 5,000 columns",
    ),
    Odd("a header with terminal escapes", "a.csv", b"\x1b[2Jx,y\n1,2\n", error=r"'\x1b[2Jx'"),
    Odd("semicolons", "a.csv", b'prompt;n\na, b;1\n"c;d";2\n', ["a, b", "c;d"]),
    Odd("tabs in a .csv", "a.csv", b'prompt\tn\n"G" is, a letter\t1\n', ['"G" is, a letter']),
    Odd("a comma wins over a semicolon", "a.csv", b"prompt,a;b\nx,1\n", ["x"], extras={"a;b": ["1"]}),
)

CSV_STRUCTURE = QUOTES + WIDTHS + HEADERS
