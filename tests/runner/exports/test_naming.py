"""Names of exported files: safe whatever the cells hold, and never one name for two images."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.exports.naming import MAX_NAME_BYTES, Names, NameTemplate, safe_name
from schemas.errors import JobError

HOSTILE = (
    *(
        "../../etc/passwd",
        "/root",
        "a\\b",
        "..",
        ".",
        "",
        "a\0b",
        "a\nb",
        "x" * 300,
        "ü" * 300,
        "con",
        "NUL.txt",
    ),
    *(
        "COM1",
        "lpt¹.a",
        "\u202egpj.exe",
        "a\u2028b",
        "\ud800",
        "a ",
        "a.",
        "-rf",
        "~root",
        ".hidden",
        "a:b",
        "a*?",
    ),
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_becomes_one_plain_part_of_a_path(text: str) -> None:
    name = safe_name(text)
    assert name != text and len(name.encode()) <= MAX_NAME_BYTES
    assert not re.search(r'[/\\:*?"<>|\x00-\x1f\u202e\u2028]', name)
    assert name[0] not in ".-~ " and name[-1] not in ". "
    assert safe_name(name) == name


@pytest.mark.parametrize("text", ["fox-0", "Füchse im Wald", "狐", "=1+1", "a.b", "🦊"])
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    assert safe_name(text) == text


@given(st.text(), st.text())
def test_texts_that_differ_have_names_that_differ(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


def test_more_characters_are_replaced_where_a_loader_reads_them() -> None:
    assert re.fullmatch(r"a_b-[0-9a-f]{12}", safe_name("a.b", also="."))


def test_a_template_takes_columns_and_widths() -> None:
    template = NameTemplate.read("{model}/{row:06d}{{x}}{note}")
    template.check(["model", "row", "note"])
    assert template.of({"model": "m", "row": 7, "note": None}) == "m/000007{x}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fox", "names no column"),
        ("{}", "braces take"),
        ("{row!r}", "braces take"),
        ("{row:>99999999}", "braces take"),
        ("{row.__class__:d}", "no column"),
        ("{a", "expected '}'"),
        ("{rowid}", "no column 'rowid'"),
    ],
)
def test_a_template_that_is_none(text: str, told: str) -> None:
    with pytest.raises(JobError) as refused:
        NameTemplate.read(text).check(["row"])
    assert told in refused.value.message and refused.value.exit_code == 2


def test_a_width_on_text_is_refused() -> None:
    with pytest.raises(JobError, match="no whole number"):
        NameTemplate.read("{id:04d}").of({"id": "x"})


@pytest.mark.parametrize("other", ["Fox.png", "fox.png", "FOX.PNG"])
def test_two_names_that_a_disk_may_take_for_one(other: str) -> None:
    names = Names()
    names.add("fox.png", "a", 0)
    names.add(other, "b", 1)
    with pytest.raises(JobError, match="'a' image 0, and 'b' image 1"):
        names.refuse_clashes()


def test_accents_written_in_two_ways_are_one_name() -> None:
    names = Names()
    names.add("\u00fc", "a", 0)
    names.add("u\u0308", "b", 0)
    with pytest.raises(JobError):
        names.refuse_clashes()


def test_clashes_are_counted_and_five_shown() -> None:
    names = Names()
    for row in range(9):
        names.add("one", str(row), 0)
    with pytest.raises(JobError) as refused:
        names.refuse_clashes()
    lines = refused.value.message.splitlines()
    assert lines[0].startswith("8 names are taken twice") and lines[-1].strip() == "… and 3 more"
