"""Names of files: safe on every system whatever the id, unique by attempt and index."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.naming import EXTENSIONS, image_name, quarantine_name, slug

HOSTILE = [
    "../../x",
    "..\\..\\x",
    "/etc/passwd",
    "C:\\Windows\\x",
    "CON",
    "nul",
    "com1.txt",
    "x" * 300,
    "🦊🦊🦊",
    "a\x00b\x1b[31m\r\n",
    "",
    " ",
    ".",
    "..",
    "-rf",
    "~root",
    "$(reboot)",
    "a;b|c&d",
    "<script>",
    "\ud800",
    "\u202egnp.exe",
    "trailing. ",
    "ＣＯＮ",
    "İ" * 100,
]

SAFE_IMAGE = re.compile(r"images/\d{4,}/(?:[a-z0-9]+(?:-[a-z0-9]+)*-)?\d+-\d+\.(?:png|jpg|webp|gif|svg)")
SAFE_BODY = re.compile(r"quarantine/(?:[a-z0-9]+(?:-[a-z0-9]+)*-)?\d+\.body")
ATTEMPTS = st.integers(0, 10**9)


@pytest.mark.parametrize("row_id", HOSTILE)
def test_hostile_ids_make_safe_names(row_id: str) -> None:
    for name, safe in (
        (image_name(12, 3, row_id, "png"), SAFE_IMAGE),
        (quarantine_name(12, row_id), SAFE_BODY),
    ):
        assert safe.fullmatch(name), name
        assert len(name) < 100


@given(ATTEMPTS, st.integers(0, 9), st.text(), st.sampled_from(sorted(EXTENSIONS)))
def test_any_id_makes_a_safe_name(attempt: int, index: int, row_id: str, form: str) -> None:
    assert SAFE_IMAGE.fullmatch(image_name(attempt, index, row_id, form))
    assert SAFE_BODY.fullmatch(quarantine_name(attempt, row_id))


@given(st.tuples(ATTEMPTS, st.integers(0, 9), st.text()), st.tuples(ATTEMPTS, st.integers(0, 9), st.text()))
def test_names_differ_where_attempt_or_index_do(
    one: tuple[int, int, str], other: tuple[int, int, str]
) -> None:
    if one[:2] != other[:2]:
        assert image_name(*one, "png") != image_name(*other, "png")


def test_a_readable_id_stays_readable() -> None:
    assert slug("Fox in the Forêt, no. 5") == "fox-in-the-foret-no-5"
    assert image_name(12, 0, "Fox", "jpeg") == "images/0000/fox-12-0.jpg"
    assert image_name(123_456, 9, "", "webp") == "images/0123/123456-9.webp"
    assert quarantine_name(7, "Fox") == "quarantine/fox-7.body"


@given(st.text())
def test_a_slug_is_short_and_plain(text: str) -> None:
    assert re.fullmatch(r"(?:[a-z0-9]+(?:-[a-z0-9]+)*)?", slug(text))
    assert len(slug(text)) <= 40
