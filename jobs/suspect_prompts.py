"""Prompts that were hardly meant as such: missing values that became text, and lines that are comments elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jobs.quoting import quoted

MISSING = frozenset(
    {"nan", "NaN", "None", "NULL", "null", "<NA>", "NaT", "#N/A", "#VALUE!", "#REF!", "#NAME?"}
)
"""What missing values and broken formulas look like once they are text. `NA` is a prompt."""

HEADERS = frozenset({"prompt", "Prompt", "Prompts", "prompts", "caption"})
"""Names of a column, in a text file whose first line is one."""

COMMENTS = ("#", "//", "--")
"""How comments begin, and the options of other programs' prompt files (`--prompt "…"`)."""

_LONGEST = max(map(len, MISSING | HEADERS))
_FIRST_SIGNS = frozenset((*(start[0] for start in COMMENTS), " ", "\t"))


@dataclass
class Suspects:
    """Warns of such prompts, with the first of each kind as an example; so the warning is the same for all of that kind."""

    _told: dict[str, str] = field(default_factory=dict)

    def warning(self, prompt: str, locations: Sequence[str], at: int) -> str | None:
        """What is said of this prompt; None for one like any other. locations: what to call the records; at: which it is."""
        if len(prompt) <= _LONGEST and (prompt in MISSING or prompt in HEADERS):
            doubt = "is a value missing" if prompt in MISSING else "is it a header"
            return self._first(
                prompt, lambda: f"the prompt is {quoted(prompt)}: {doubt}? (the first: {locations[at]})"
            )
        if prompt[0] not in _FIRST_SIGNS:
            return None
        start = next((start for start in COMMENTS if prompt.lstrip().startswith(start)), None)
        if start is None:
            return None
        form = "an option" if start == "--" else "a comment"
        return self._first(
            start,
            lambda: (
                f"the prompt begins with {start} like {form} and is sent as it is "
                f"(the first: {locations[at]}, {quoted(prompt)})"
            ),
        )

    def _first(self, kind: str, text: Callable[[], str]) -> str:
        if kind not in self._told:
            self._told[kind] = text()
        return self._told[kind]
