"""Which column is the prompt, which the id, which a request field."""

from __future__ import annotations

from typing import Any

import pytest

from runner.manifest.columns import assign_roles
from runner.manifest.records import ManifestError
from runner.manifest.tables import MAX_COLUMNS, unique_names
from schemas.request import FIELDS


@pytest.mark.parametrize(
    ("names", "options", "roles"),
    [
        (["caption", "text", "Prompt", "Prompts", "prompt"], {}, {"prompt": "prompt"}),
        (["caption", "text", "Prompts", "Prompt"], {}, {"prompt": "Prompt"}),
        (["caption", "text", "Prompts"], {}, {"prompt": "Prompts"}),
        (["caption", "text"], {}, {"prompt": "text"}),
        (["caption"], {}, {"prompt": "caption"}),
        (["item_id", "key", "row_id", "id", "prompt"], {}, {"prompt": "prompt", "id": "id"}),
        (["item_id", "key", "row_id", "prompt"], {}, {"prompt": "prompt", "id": "row_id"}),
        (["item_id", "key", "prompt"], {}, {"prompt": "prompt", "id": "key"}),
        (["prompt", "n", "N", "size"], {}, {"prompt": "prompt", "n": "n", "size": "size"}),
        (["prompt", "text"], {"prompt_col": "text"}, {"prompt": "text"}),
        (["id", "key", "text"], {"prompt_col": "id"}, {"prompt": "id", "id": "key"}),
        (["id", "prompt"], {"id_col": "prompt"}, {"prompt": "prompt", "id": "prompt"}),
        (["id", "text", "prompt"], {"id_col": "prompt"}, {"prompt": "text", "id": "prompt"}),
        (["prompt"], {"prompt_col": "prompt", "id_col": "prompt"}, {"prompt": "prompt", "id": "prompt"}),
        (["size", "n"], {"prompt_col": "size"}, {"prompt": "size", "n": "n"}),
    ],
)
def test_roles(names: list[str], options: dict[str, Any], roles: dict[str, str]) -> None:
    assert assign_roles(names, "a.csv", **options) == roles


def test_open_ended_tables_have_every_role_that_may_come() -> None:
    roles = assign_roles(["prompt", "key"], "a.jsonl", open_ended=True)
    assert roles == {"prompt": "prompt", "id": "key", **{name: name for name in FIELDS}}
    assert assign_roles(["text"], "a.jsonl", open_ended=True)["id"] == "id"
    assert "id" not in assign_roles(["id"], "a.jsonl", prompt_col="id", open_ended=True)


def test_names_in_messages_are_short_and_escaped() -> None:
    names = ["\x1b[31m" + "x" * 500, *(f"c{i}" for i in range(30))]
    with pytest.raises(ManifestError) as stop:
        assign_roles(names, "a.csv")
    assert "\x1b" not in stop.value.message and len(stop.value.message) < 500
    assert "and 11 more" in stop.value.message


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (["a", "a", "a"], ("a", "a_2", "a_3")),
        (["a", "a", "a_2"], ("a", "a_3", "a_2")),
        (["a_2", "a", "a"], ("a_2", "a", "a_3")),
        (["", "x", ""], ("column_1", "x", "column_3")),
        (["column_2", ""], ("column_2", "column_2_2")),
    ],
)
def test_unique_names(header: list[str], names: tuple[str, ...]) -> None:
    assert unique_names(header, "a.csv") == names


def test_columns_are_bounded() -> None:
    assert len(unique_names(map(str, range(MAX_COLUMNS)), "a.csv")) == MAX_COLUMNS
    with pytest.raises(ManifestError, match="more than 5,000 columns"):
        unique_names(map(str, range(MAX_COLUMNS + 1)), "a.csv")
