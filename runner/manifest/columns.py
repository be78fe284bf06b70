"""Assigns roles to columns: prompt, id, or a request field. Other columns are carried through to the results."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.quoting import quoted
from runner.manifest.records import ManifestError
from runner.text.nearest import nearest
from schemas.request import FIELDS

ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "Prompt", "Prompts", "text", "caption", "instruction"),
    "id": ("id", "row_id", "key", "item_id"),
}
"""Column names of a role; of those that are there, the first in this order plays it."""

OPTIONS = {"prompt": "--prompt-col", "id": "--id-col"}

DELIMITERS = (",", ";", "\t", "|")
"""What may stand between the fields of a text table, the likeliest first."""

_LISTED_COLUMNS = 20
_NAME_CHARS = 40
_NAME_WORDS = 3
_BATCH_KEYS = {"custom_id", "body"}
"""Keys of a request in the files that OpenAI's batch endpoint takes."""


def known_names(prompt_col: str | None) -> tuple[str, ...]:
    """Column names that a table of prompts is known by. prompt_col: as named by the user."""
    return (*ALIASES["prompt"], *(() if prompt_col is None else (prompt_col,)))


def looks_like_names(cells: Sequence[str]) -> bool:
    """Whether these may be the names of columns: several, all different, and no sentences."""
    short = all(0 < len(cell) <= _NAME_CHARS and len(cell.split()) <= _NAME_WORDS for cell in cells)
    return len(cells) > 1 and len(set(cells)) == len(cells) and short


def assign_roles(
    names: Sequence[str],
    source: str,
    *,
    prompt_col: str | None = None,
    id_col: str | None = None,
    open_ended: bool = False,
) -> dict[str, str]:
    """Role -> column name.

    prompt_col, id_col: columns named by the user, which go before the aliases and before a request field's own name.
    open_ended: later records may have more columns than `names`; then `id` and request fields are roles unseen.
    Raises ManifestError where such a column is missing, or where nothing is the prompt.
    """
    chosen = {role: name for role, name in (("prompt", prompt_col), ("id", id_col)) if name is not None}
    for role, name in chosen.items():
        if name not in names:
            raise _missing(OPTIONS[role], name, names, source)
    roles: dict[str, str] = {}
    for role, aliases in ALIASES.items():
        there = [name for name in aliases if name in names]
        free = [name for name in there if name not in chosen.values()]
        if role == "prompt":
            free += there  # a column may be the id and the prompt
        found = chosen.get(role) or next(iter(free), None)
        if found is not None:
            roles[role] = found
    if "prompt" not in roles:
        raise _no_prompt(names, source)
    if open_ended and "id" not in roles.values():
        roles.setdefault("id", "id")
    taken = set(roles.values())
    return roles | {name: name for name in FIELDS if (open_ended or name in names) and name not in taken}


def column_list(names: Sequence[str]) -> str:
    """Column names for a message, shortened, control characters escaped."""
    text = ", ".join(quoted(name) for name in names[:_LISTED_COLUMNS])
    more = len(names) - _LISTED_COLUMNS
    return text + (f" and {more:,} more" if more > 0 else "")


def _missing(option: str, name: str, names: Sequence[str], source: str) -> ManifestError:
    near = nearest(name, [other for other in names if not _holds_delimiter(other)])
    role = next(role for role, other in OPTIONS.items() if other == option)
    near = near or next((alias for alias in ALIASES[role] if alias in names), None)
    fix = f"did you mean {option} {quoted(near)}?" if near else f"give {option} one of these names"
    if len(names) == 1 and _holds_delimiter(names[0]):
        fix = _UNSPLIT
    return ManifestError(
        f"{source} has no column {quoted(name)}; its columns are: {column_list(names)}", fix=fix
    )


def _no_prompt(names: Sequence[str], source: str) -> ManifestError:
    near = _near_prompt([name for name in names if not _holds_delimiter(name)])
    fix = "say which column holds the prompts with --prompt-col"
    if any("\0" in name for name in names):
        fix = "the file looks like UTF-16 without a byte order mark; save it as UTF-8"
    elif names and {*names} >= _BATCH_KEYS:
        fix = (
            "this is a file for OpenAI's batch endpoint; take the requests out of it: "
            "jq -c '{id: .custom_id} + .body' batch.jsonl > prompts.jsonl"
        )
    elif len(names) == 1 and _holds_delimiter(names[0]):
        fix = _UNSPLIT
    elif near is not None:
        fix = f"did you mean --prompt-col {quoted(near)}?"
    there = f"its columns are: {column_list(names)}" if names else "it has no columns"
    return ManifestError(
        f"{source} has no prompt column (none is named {', '.join(ALIASES['prompt'])}; --prompt-col names another); "
        + there,
        fix=fix,
    )


_UNSPLIT = "put commas, semicolons, tabs or | between the fields, or a line such as sep=^ before the header"


def _holds_delimiter(name: str) -> bool:
    """Whether this is rather a line that was not split than a name."""
    return any(mark in name for mark in (*DELIMITERS, "^", "~", "::"))


def _near_prompt(names: Sequence[str]) -> str | None:
    folded = {name.strip().lower(): name for name in reversed(names)}
    for alias in ("prompt", "prompts", "text", "caption"):
        if alias in folded:
            return folded[alias]
    near = nearest("prompt", list(folded))
    return folded[near] if near is not None else None
