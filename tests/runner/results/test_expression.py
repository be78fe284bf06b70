"""What an expression of `--where` may say, and what is told of one that means something else in SQL than it says."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.results.expression import MAX_CHARS, Family, read
from schemas.errors import JobError
from tests.support.expressions import ANY_WORDS

COLUMNS = {
    "mood": Family.TEXT,
    "Tone": Family.TEXT,
    "tone": Family.TEXT,
    "my col": Family.TEXT,
    "group": Family.TEXT,
    "end": Family.TEXT,
    'q"u': Family.TEXT,
    "größe": Family.TEXT,
    "width": Family.NUMBER,
    "ok": Family.TRUTH,
    "at": Family.TIME,
    "flags": Family.LIST,
    "text": Family.TEXT,
}


def columns(text: str) -> tuple[str, ...]:
    """The names that an expression reads."""
    return tuple(read(text, COLUMNS).columns.values())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("mood == 'x' and width > -3", ("mood", "width")),
        ("MOOD = 'x' AND WIDTH IN (1, 2)", ("mood", "width")),
        ("tone == 'x' or Tone == 'x'", ("tone", "Tone")),
        ("group == 'x'", ("group",)),
        ("text == 'x' or cast(mood as text) == 'x'", ("text", "mood")),
        ("\"end\" == 'x' and end is null", ("end",)),
        ("`my col` == 'a' or \"my col\" == 'b'", ("my col",)),
        ('"q""u" == \'it\'\'s "mood"\'', ('q"u',)),
        ("cast(mood as integer) > 3", ("mood",)),
        ("größe == 'x' or GRÖßE is null", ("größe",)),
        ("\n mood\n==\n'x'\n", ("mood",)),
    ],
)
def test_names_are_columns(text: str, names: tuple[str, ...]) -> None:
    """As they stand, or else in other case; in double quotes or backquotes where they are no plain words."""
    assert columns(text) == names


def test_a_name_never_reaches_sqlite() -> None:
    assert read("`q\"u` == 'mood' or mood == 'x'", COLUMNS).sql == "c6 == 'mood' or c0 == 'x'"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("mood" * MAX_CHARS, "more than 10,000 characters"),
        ("mood == '\0'", "holds a character that no column can hold"),
        ("mood == '\udcff'", "holds a character that no column can hold"),
        ("1 == 1", "names no column"),
        ("moood == 'x'", "at character 1: no column 'moood'; did you mean 'mood'?"),
        ("my_col == 'x'", "did you mean '\"my col\"'?"),
        ("TONE == 'x'", "column 'TONE' may be Tone or tone"),
        ('mood == "x"', "at character 9: no column 'x'; text stands in single quotes: 'x'"),
        ('mood == "it\'s"', "text stands in single quotes: 'it''s'"),
        ("mood == 'it\\'s'", "a quote in it is doubled: 'it''s'"),
        ('"mood', "the name that begins here is not closed"),
        ("mood in ['x', 'y']", "at character 9: a list stands in round brackets"),
        ("[my col] == 'x'", "a list stands in round brackets"),
        ("mood in flags", "write: contains(flags, 'edited')"),
        ("'edited' in flags", "write: contains(flags, 'edited')"),
        ("mood in 'x'", "write: quality in ('low', 'high')"),
        ("mood == None", "write: is null, is not null"),
        ("mood is None", "write: is null, is not null"),
        ("mood != null", "nothing equals null; write: is null, is not null"),
        ("null == mood", "nothing equals null"),
        ("1 < width <= 9", "at character 11: compares what is compared already"),
        ("(1 < width < 9) or ok", "compares what is compared already"),
        ("like(mood, '%x%')", "patterns are written: prompt like '%owl%'"),
        ("regexp(mood, 'x')", "patterns are written"),
        ("mood regexp 'x'", "patterns are written"),
        ("mood ~ 'x'", "patterns are written"),
        ("mood.startswith('x')", "at character 5: there are no methods; write contains"),
        ("mood == 'x' && ok", "at character 13: write and"),
        ("mood == 'x' || ok", "write or"),
        ("!ok", "write not"),
        ("mood == 'x' -- and more", "there can be no comment"),
        ("mood == 'x' /* more */", "there can be no comment"),
        ("mood == 'x'; drop table r", "there can be one expression only"),
        ("mood in (select 1)", "an expression looks at one line"),
        ("mood == ?", "'?' has no meaning here"),
        ("1) or (width == 1", "at character 2: this bracket was not opened"),
        ("((mood == 'x')", "at character 1: this bracket is not closed"),
        ("mood == 7", "compare it with text in single quotes, or write cast(mood as integer)"),
        ("-7 < mood", "column 'mood' cannot equal 7"),
        ("mood > -7", "column 'mood' cannot equal 7"),
        ("mood == true", "column 'mood' cannot equal true"),
        ("width == '7'", "column 'width' cannot equal '7'; compare it with a number"),
        ("ok == 'true'", "compare it with true or false"),
        ("ok == 7", "compare it with true or false"),
        ("at == 7", "compare it with a time"),
        ("at < 'soon'", "at character 6: 'soon' is no time; write a time, like '2026-11-22T02:00:00'"),
        ("flags == 'edited'", "contains(flags, 'edited')"),
        ("mood", "stands alone"),
        ("ok and not mood", "stands alone"),
        ("mood == 'x' or 'y'", "at character 16: stands alone"),
    ],
)
def test_what_sql_would_take_otherwise_is_refused_with_the_way_to_write_it(text: str, told: str) -> None:
    with pytest.raises(JobError) as refused:
        read(text, COLUMNS)
    assert refused.value.message.startswith(f"--where {text[:200]!r}")
    assert told in refused.value.message
    assert refused.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "ok",
        "not ok",
        "width and ok",
        "mood is not 'x'",
        "mood not in ('x')",
        "mood between 'a' and 'b'",
        "ok and mood between 'a' and 'b' and width < 3",
        "mood not like 'x' and ok",
        "case when ok then mood else tone end == 'x'",
        "lower(mood) == 'x'",
        "(1 < width) == (width < 3)",
        "ok == true or ok == 0",
        "flags is null",
    ],
)
def test_what_sql_takes_as_it_is_meant_is_left_to_it(text: str) -> None:
    assert columns(text)


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ("2026-11-22", "2026-11-22T00:00:00.000000"),
        ("2026-11-22 02:00:00.5", "2026-11-22T02:00:00.500000"),
        ("2026-11-22T02:00:00Z", "2026-11-22T02:00:00.000000"),
        ("2026-11-22T02:00:00+09:00", "2026-11-21T17:00:00.000000"),
    ],
)
def test_a_time_is_one_moment_however_it_is_written(written: str, held: str) -> None:
    assert read(f"at >= '{written}'", COLUMNS).sql == f"c10 >= '{held}'"
    assert read(f"'{written}' == at", COLUMNS).sql == f"'{held}' == c10"


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_a_refusal(text: str) -> None:
    with suppress(JobError):
        assert columns(text)


@given(ANY_WORDS)
def test_any_words_are_an_expression_or_a_refusal(text: str) -> None:
    with suppress(JobError):
        assert columns(text)
