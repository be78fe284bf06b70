"""Templates, and rows remade with them: every check of a manifest's row holds for what is sent instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.overrides import (
    FilledTexts,
    Overrides,
    Template,
    TemplateError,
    override_row,
    template,
    unknown_column,
)
from jobs.rows import RequestDefaults
from schemas.request import MAX_PROMPT_CHARS, ImageRequest
from schemas.row import Row, RowProblem

DEFAULTS = RequestDefaults((("model", "m"), ("quality", "high")), (("style", "vivid"),))


def row(prompt: str = "a fox") -> Row:
    """A row as the manifest has it."""
    return Row(3, "r3", ImageRequest(prompt, (("model", "m"),)), bytes(16))


def sent(
    fields: dict[str, str], params: dict[str, str] | None = None, own: tuple[tuple[str, str], ...] = ()
) -> Row:
    """The row as it is sent with these texts."""
    made = override_row(row(), own, "row 'r3'", FilledTexts(fields, params or {}), DEFAULTS, {})
    assert isinstance(made, Row)
    return made


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{prompt}, calm", "a fox, calm"),
        ("{{{prompt}}}", "{a fox}"),
        ("{{prompt}}", "{prompt}"),
        ("{my col}{my col}", "77"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_a_template_is_filled_by_name(text: str, filled: str) -> None:
    assert template(text).filled({"prompt": "a fox", "my col": "7"}) == filled


@pytest.mark.parametrize("text", ["{", "}", "{}", "{a", "a}", "{a{b}", "{{a}"])
def test_a_brace_alone_is_refused(text: str) -> None:
    with pytest.raises(TemplateError, match=r"write \{column\}, and \{\{ or \}\}"):
        template(text)


@pytest.mark.parametrize("name", ["prompt.upper", "a[0]", "a!r", "a:>9", "a.__class__"])
def test_a_name_leads_nowhere_beyond_its_column(name: str) -> None:
    assert template(f"{{{name}}}") == Template(("", ""), (name,))
    assert "no attributes" in unknown_column(name)


@given(st.text())
def test_a_literal_and_an_escaped_text_stay_what_they_are(text: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert Template((text,)).filled({}) == template(escaped).filled({}) == text


def test_a_null_is_refused_and_an_empty_text_is_not() -> None:
    assert template("{mood}!").filled({"mood": ""}) == "!"
    with pytest.raises(TemplateError, match="'mood' is null"):
        template("{mood}!").filled({"mood": None})


def test_columns_are_told_once() -> None:
    changes = Overrides((("prompt", template("{a} {b} {a}")),), (("style", template("{c}{b}")),))
    assert (changes.columns, bool(changes), bool(Overrides())) == (("a", "b", "c"), True, False)


def test_an_override_wins_over_the_row_and_the_row_over_the_default() -> None:
    assert sent({}, own=(("quality", "low"),)).request.get("quality") == "low"
    assert sent({"quality": "medium"}, own=(("quality", "low"),)).request.get("quality") == "medium"
    assert sent({"quality": ""}, own=(("quality", "low"),)).request.get("quality") == "high"
    assert sent({}, {"style": "calm", "mood": "x"}).request.params == (
        *(("model", "m"), ("quality", "high"), ("mood", "x"), ("style", "calm")),
    )


def test_the_row_stays_the_same_item_and_keeps_its_own_prompt() -> None:
    other = sent({"prompt": "a hare"})
    assert (other.fingerprint, other.row_id, other.own_prompt) == (row().fingerprint, "r3", "a fox")
    assert (other.request.prompt, other.manifest_prompt) == ("a hare", "a fox")
    assert sent({"prompt": "a fox"}).manifest_prompt is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"prompt": " \n"}, "is empty"),
        ({"prompt": "a \ud83e fox"}, "half a character"),
        ({"quality": "\udcff"}, "half a character"),
        ({"prompt": "x" * (MAX_PROMPT_CHARS + 1)}, "shorten it"),
        ({"output_compression": "101"}, "must be a whole number from 0 to 100"),
        ({"background": "transparent", "output_format": "jpeg"}, "cannot be stored as jpeg"),
    ],
)
def test_what_no_manifest_may_say_no_override_may(fields: dict[str, str], told: str) -> None:
    made = override_row(row(), (), "row 'r3'", FilledTexts(fields, {}), DEFAULTS, {})
    assert isinstance(made, RowProblem)
    assert made.message.startswith("row 'r3': ")
    assert told in made.message


def test_what_the_service_is_known_to_refuse_is_not_sent() -> None:
    defaults = RequestDefaults((("model", "gpt-image-2"),), service="openai")
    texts = FilledTexts({"output_format": "png", "output_compression": "50"}, {})
    made = override_row(row(), (), "here", texts, defaults, {})
    assert isinstance(made, RowProblem)
    assert "output_compression 50 does not go with output_format 'png'" in made.message
