"""Which column plays which role: prompt, id, or a request field. What plays none is carried along."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.rows import shown
from runner.manifest.records import ManifestError
from runner.text.nearest import nearest
from schemas.request import FIELDS

ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "Prompt", "Prompts", "text", "caption"),
    "id": ("id", "row_id", "key", "item_id"),
}
"""Column names of a role; of those that are there, the first in this order plays it."""

OPTIONS = {"prompt": "--prompt-col", "id": "--id-col"}

_LISTED_COLUMNS = 20


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


def listed(names: Sequence[str]) -> str:
    """Column names for a message, shortened, control characters escaped."""
    text = ", ".join(shown(name) for name in names[:_LISTED_COLUMNS])
    more = len(names) - _LISTED_COLUMNS
    return text + (f" and {more:,} more" if more > 0 else "")


def _missing(option: str, name: str, names: Sequence[str], source: str) -> ManifestError:
    near = nearest(name, names)
    fix = f"did you mean {option} {shown(near)}?" if near else f"give {option} one of these names"
    return ManifestError(f"{source} has no column {shown(name)}; its columns are: {listed(names)}", fix=fix)


def _no_prompt(names: Sequence[str], source: str) -> ManifestError:
    near = _near_prompt(names)
    fix = "say which column holds the prompts with --prompt-col"
    if any("\0" in name for name in names):
        fix = "the file looks like UTF-16 without a byte order mark; save it as UTF-8"
    elif near is not None:
        fix = f"did you mean --prompt-col {shown(near)}?"
    there = f"its columns are: {listed(names)}" if names else "it has no columns"
    return ManifestError(
        f"{source} has no prompt column (none is named {', '.join(ALIASES['prompt'])}; --prompt-col names another); "
        + there,
        fix=fix,
    )


def _near_prompt(names: Sequence[str]) -> str | None:
    folded = {name.strip().lower(): name for name in reversed(names)}
    for alias in ("prompt", "prompts", "text", "caption"):
        if alias in folded:
            return folded[alias]
    near = nearest("prompt", list(folded))
    return folded[near] if near is not None else None
