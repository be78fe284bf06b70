"""Odd JSON lines and JSON arrays."""

from __future__ import annotations

from tests.support.odd_manifests.case import Odd

MIB = 1024 * 1024

NUMBERS = b'{"id": 12345678901234567890123, "prompt": 1e5, "a": 0.10, "b": -0, "c": true, "d": false, "e": null, "f": NaN}\n'

LINES = (
    Odd(
        "numbers keep their text",
        "a.jsonl",
        NUMBERS,
        ["1e5"],
        ids=["12345678901234567890123"],
        extras={"a": ["0.10"], "b": ["-0"], "c": ["true"], "d": ["false"], "e": [None], "f": ["NaN"]},
    ),
    Odd(
        "numbers keep their text beside nested values",
        "a.jsonl",
        b'{"prompt": 1E+5, "n": 2.0, "x": [1.50, {"b":  9007199254740993}], "y": {}}\n',
        ["1E+5"],
        extras={"x": ['[1.50, {"b":  9007199254740993}]'], "y": ["{}"]},
    ),
    Odd(
        "brackets and braces inside strings",
        "a.jsonl",
        b'{"prompt": "a [b] {c} \\"d\\"", "id": "{"}\n',
        ['a [b] {c} "d"'],
        ids=["{"],
    ),
    Odd(
        "words that mean nothing elsewhere",
        "a.jsonl",
        b'{"prompt": "null"}\n{"prompt": "NA"}\n{"prompt": ""}\n',
        ["null", "NA", ""],
    ),
    Odd(
        "blanks and escapes",
        "a.jsonl",
        b'  {"prompt" : "  a\\n\\u00e9\\ud83d\\ude00 "}  \r\n',
        ["  a\n\u00e9\U0001f600 "],
    ),
    Odd("a key written with escapes", "a.jsonl", b'{"\\u0070rompt": "a", "x": [1]}\n', ["a"]),
    Odd("raw control characters", "a.jsonl", b'{"prompt": "a\tb\x00c"}\n', ["a\tb\0c"]),
    Odd(
        "separators that end no line", "a.jsonl", '{"prompt": "a\u2028b\x85c"}\n'.encode(), ["a\u2028b\x85c"]
    ),
    Odd(
        "blank lines",
        "a.jsonl",
        b'\n{"prompt": "a"}\n  \t\n\n{"prompt": "b"}',
        ["a", "b"],
        locations=["line 2", "line 5"],
    ),
    Odd(
        "missing keys and nulls",
        "a.jsonl",
        b'{"prompt": "a", "t": 1}\n{"prompt": null}\n{"t": null}\n',
        ["a", None, None],
        extras={"t": ["1", None, None]},
    ),
    Odd(
        "keys in another order, new keys later",
        "a.jsonl",
        b'{"prompt": "a"}\n{"z": "1", "prompt": "b", "y": "2"}\n',
        ["a", "b"],
        extras={"z": [None, "1"], "y": [None, "2"]},
    ),
    Odd(
        "an id that comes later",
        "a.jsonl",
        b'{"prompt": "a"}\n' * 400 + b'{"prompt": "b", "id": "x", "size": "auto"}\n',
        ["a"] * 400 + ["b"],
        ids=[None] * 400 + ["x"],
        extras={},
    ),
    Odd("other aliases", "a.ndjson", b'{"caption": "a", "key": 7}\n', ["a"], ids=["7"]),
    Odd("strings", "a.jsonl", b'"a"\n"b [c] {d}"\n', ["a", "b [c] {d}"]),
    Odd(
        "invalid JSON",
        "a.jsonl",
        b'{"prompt": "a"}\n{"id": 7, "prompt": "b" or "d"}\n{"prompt": "c"}\n',
        ["a", None, "c"],
        ids=[None, "7", None],
        malformed={1: "line 2: is not valid JSON"},
    ),
    Odd(
        "invalid JSON beside nested values",
        "a.jsonl",
        b'{"prompt": "a"}\n{"x": [1] "prompt": "b"}\n{"x": [1], prompt: 1}\n{"x": [1]} y\n{"x": {"y": [}\n',
        ["a", None, None, None, None],
        malformed=dict.fromkeys((1, 2, 3, 4), "is not valid JSON"),
    ),
    Odd(
        "a line cut short",
        "a.jsonl",
        b'{"prompt": "a"}\n{"prompt": "b',
        ["a", None],
        malformed={1: "is not valid JSON"},
    ),
    Odd(
        "two objects on a line",
        "a.jsonl",
        b'{"prompt": "a"}\n{"prompt": "b"}{"prompt": "c"}\n',
        ["a", "b"],
        malformed={1: "Extra data"},
    ),
    Odd(
        "lines that are no objects",
        "a.jsonl",
        b'{"prompt": "a"}\n1\nnull\n["b"]\ntrue\n{}\n',
        ["a", None, None, None, None, None],
        malformed=dict.fromkeys((1, 2, 3, 4), "is not a JSON object"),
    ),
    Odd(
        "a lone surrogate",
        "a.jsonl",
        b'{"prompt": "a"}\n{"id": 7, "prompt": "\\ud800"}\n{"id": 8, "prompt": "c", "t": "\\udfff"}\n'
        b'{"id": "\\ud800", "prompt": "d", "t": "u"}\n{"id": 9, "prompt": "e", "\\udc00": "x"}\n',
        ["a", None, "c", "d", "e"],
        ids=[None, "7", "8", None, "9"],
        malformed={
            1: "column 'prompt' holds half a character (an unpaired surrogate)",
            2: "column 't' holds half a character",
            3: "column 'id' holds half a character",
            4: "a key holds half a character",
        },
        extras={"t": [None, None, None, "u", None]},
    ),
    Odd(
        "a prompt of chat messages, an object as size",
        "a.jsonl",
        b'{"id": 1, "prompt": [{"role": "user", "content": "a fox"}]}\n'
        b'{"id": 2, "prompt": "a", "size": {"w": 1}, "tags": ["x"]}\n{"id": ["3"], "prompt": "b"}\n',
        [None, "a", "b"],
        ids=["1", "2", None],
        malformed={
            0: "line 1: column 'prompt' holds a list, not text; write it as text",
            1: "column 'size' holds an object",
            2: "column 'id' holds a list",
        },
        extras={"tags": [None, '["x"]', None]},
    ),
    Odd(
        "a repeated role",
        "a.jsonl",
        b'{"prompt": "a"}\n{"prompt": "b", "prompt": "c"}\n',
        ["a", None],
        malformed={1: "has the key 'prompt' more than once"},
    ),
    Odd("a repeated other key", "a.jsonl", b'{"prompt": "a", "t": 1, "t": 2}\n', ["a"], extras={"t": ["2"]}),
    Odd(
        "nested too deeply",
        "a.jsonl",
        b'{"prompt": "a"}\n{"prompt": "b", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n",
        ["a", None],
        malformed={1: "nested too deeply"},
    ),
    Odd(
        "a number of 10,000 digits",
        "a.jsonl",
        b'{"prompt": "a", "id": ' + b"7" * 10_000 + b"}\n",
        ["a"],
        ids=["7" * 10_000],
    ),
    Odd(
        "Latin-1",
        "a.jsonl",
        b'{"prompt": "a"}\n{"id": 7, "prompt": "Dal\xed"}\n{"id": 8, "prompt": "b", "t": "\xed"}\n',
        ["a", None, "b"],
        ids=[None, "7", "8"],
        malformed={1: "byte 40 of the file (0xed) is not UTF-8", 2: "is not UTF-8"},
    ),
    Odd(
        "a line longer than the cap",
        "a.jsonl",
        b'{"prompt": "a"}\n{"prompt": "' + b"x" * (4 * MIB) + b'"}\n{"prompt": "c"}\n',
        ["a", None, "c"],
        malformed={1: "line 2: the line has more than 4 MiB"},
    ),
    Odd("UTF-16", "a.jsonl", '\ufeff{"prompt": "\u00e9"}\n'.encode("utf-16-le"), ["\u00e9"]),
    Odd("an empty file", "a.jsonl", b"", []),
    Odd(
        "nothing but broken lines",
        "a.jsonl",
        b"{\n  prompt: 1\n}\n",
        error="holds no record that can be read",
    ),
    Odd("an array all the same", "a.jsonl", b'[\n{"prompt": "a"},\n{"prompt": "b"}\n]\n', ["a", "b"]),
    Odd("no prompt", "a.jsonl", b'{"words": "a", "id": 1}\n', error="'words', 'id'"),
    Odd(
        "a prompt column by name",
        "a.jsonl",
        b'{"prompt": "a", "words": "b"}\n',
        ["b"],
        options={"prompt_col": "words"},
        extras={"prompt": ["a"]},
    ),
    Odd(
        "a missing prompt column by name",
        "a.jsonl",
        b'{"prompt": "a", "words": "b"}\n',
        options={"prompt_col": "wordz"},
        error="did you mean --prompt-col 'words'?",
    ),
    Odd(
        "an id by name",
        "a.jsonl",
        b'{"prompt": "a", "id": 1, "code": "x"}\n',
        ["a"],
        ids=["x"],
        options={"id_col": "code"},
        extras={"id": ["1"]},
    ),
    Odd(
        "thousands of different keys",
        "a.jsonl",
        b"".join(b'{"prompt": "a", "k%d": 1}\n' % i for i in range(5_001)),
        error="more than 5,000 columns",
    ),
)

ARRAYS = (
    Odd(
        "objects",
        "a.json",
        b'[\n  {"prompt": "a", "id": 007e0},\n  {"prompt": "b"}\n]',
        error="is not valid JSON",
    ),
    Odd(
        "objects over lines",
        "a.json",
        b'[\n  {\n    "prompt": "a",\n    "id": 1e5\n  },\n  {"prompt": "b", "x": [1]}\n]\n',
        ["a", "b"],
        ids=["1e5", None],
        locations=["line 2, item 1", "line 6, item 2"],
        extras={"x": [None, "[1]"]},
    ),
    Odd("strings", "a.json", b'["a", "b", "c]"]', ["a", "b", "c]"]),
    Odd(
        "objects on one line of more than the cap",
        "a.json",
        b"[" + b", ".join(b'{"prompt": "%s"}' % (b"x" * 1_000) for _ in range(5_000)) + b"]",
        ["x" * 1_000] * 5_000,
    ),
    Odd("an empty array", "a.json", b"[]", []),
    Odd("an array of blanks", "a.json", b" [ \n ] \n", []),
    Odd(
        "JSON lines",
        "a.json",
        b'{"prompt": "a"}\n{"prompt": "b"}\n',
        ["a", "b"],
        locations=["line 1", "line 2"],
    ),
    Odd(
        "items that are no objects",
        "a.json",
        b'[{"prompt": "a"}, 1, null, [2], "b"]',
        ["a", None, None, None, "b"],
        malformed=dict.fromkeys((1, 2, 3), "is not a JSON object"),
    ),
    Odd(
        "a number at the end of a chunk",
        "a.json",
        b'["' + b"a" * (16 * 1024 - 8) + b'", 12345678, "b"]',
        ["a" * (16 * 1024 - 8), None, "b"],
        malformed={1: "is not a JSON object"},
    ),
    Odd(
        "a lone surrogate",
        "a.json",
        b'["a", "\\ud800", "b"]',
        ["a", None, "b"],
        malformed={1: "unpaired surrogate"},
    ),
    Odd(
        "Latin-1",
        "a.json",
        b'["a", "Dal\xed", "b"]',
        ["a", None, "b"],
        malformed={1: "bytes that are not UTF-8"},
    ),
    Odd(
        "a repeated role",
        "a.json",
        b'[{"prompt": "a", "prompt": "b"}, {"prompt": "c"}]',
        [None, "c"],
        malformed={0: "more than once"},
    ),
    Odd(
        "cut short", "a.json", b'[{"prompt": "a"}, {"prompt": "b"', error="line 1: an item is not valid JSON"
    ),
    Odd("cut short after an item", "a.json", b'[{"prompt": "a"}\n', error="a ',' is missing"),
    Odd("a comma too many", "a.json", b'["a",\n]', error="line 2: an item is not valid JSON"),
    Odd("a comma too few", "a.json", b'["a" "b"]', error="a ',' is missing"),
    Odd("text behind it", "a.json", b'["a"] ["b"]', error="text follows the array"),
    Odd(
        "an item longer than the cap",
        "a.json",
        b'["a", "' + b"x" * (5 * MIB) + b'"]',
        error="an item is not valid JSON",
    ),
    Odd(
        "nested too deeply",
        "a.json",
        b'["a", ' + b"[" * 200_000 + b"]" * 200_000 + b"]",
        error="nested too deeply",
    ),
    Odd(
        "one object without a prompt", "a.json", b'{"annotations": [{"caption": "a"}]}', error="'annotations'"
    ),
    Odd(
        "one object over lines",
        "a.json",
        b'{\n  "a.png": {"p": "x"}\n}\n',
        error="one JSON object whose values are lists or objects ('a.png'), not rows",
    ),
    Odd("an empty file", "a.json", b"", []),
    *(
        Odd(f"pandas' orient={orient}", "a.json", text, error="frame.to_json(path, orient='records')")
        for orient, text in {
            "columns": b'{"id":{"0":"a","1":"b"},"prompt":{"0":"a fox","1":"an owl"}}',
            "columns, indented": b'{\n "prompt":{\n  "0":"a fox"\n }\n}',
            "index": b'{"0":{"id":"a","prompt":"a fox"},"1":{"id":"b","prompt":"an owl"}}',
            "split": b'{"columns":["id","prompt"],"index":[0],"data":[["a","a fox"]]}',
            "table": b'{"schema":{"fields":[]},"data":[{"id":1,"prompt":"a fox"}]}',
            "columns of more than a line may have": b'{"prompt":{"0":"' + b"x" * (5 * MIB) + b'"}}',
        }.items()
    ),
    Odd("a list below a key", "a.json", b'{"prompts": ["a fox", "an owl"]}', error="[{\u2026}, {\u2026}]"),
    Odd(
        "a list below a key, by name",
        "a.json",
        b'{"prompts": ["a fox"]}',
        options={"prompt_col": "prompts"},
        error="is one JSON object",
    ),
    Odd(
        "a list below a key, with others",
        "a.json",
        b'{"version": 1, "prompts": ["a"]}',
        error="is one JSON object",
    ),
    Odd(
        "one row with a list",
        "a.json",
        b'{"prompt": "a fox", "tags": ["x"]}',
        ["a fox"],
        extras={"tags": ['["x"]']},
    ),
    Odd(
        "a file for OpenAI's batch endpoint",
        "a.jsonl",
        b'{"custom_id":"r1","method":"POST","url":"/v1/images/generations","body":{"model":"m","prompt":"a fox"}}\n',
        error="this is a file for OpenAI's batch endpoint; take the requests out of it: jq -c",
    ),
)

JSONS = LINES + ARRAYS
