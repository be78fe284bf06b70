"""`python tests/readme_tables.py`: writes the README's reference tables anew from the code that they describe.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; what is written between them by hand is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from runner.cli.commands.run import command as run_command
from runner.config.json_schema import allowed, job_keys
from runner.manifest.columns import ALIASES
from schemas.failures import RULES, Billed, Resend, Rule
from schemas.job_options import JOB_OPTIONS
from schemas.request import FIELDS, MAX_PROMPT_CHARS
from schemas.results import COLUMNS
from tests.relay_table import relay_table

README = Path(__file__).resolve().parents[1] / "README.md"

_RESENT = {
    Resend.NEVER: "not sent again",
    Resend.COUNTED: "sent again, up to `--attempts`",
    Resend.PATIENT: "waits and is sent again, until `--give-up`",
    Resend.IF_ALLOWED: "sent again only with `--on-ambiguous retry`",
}
_BILLED = {Billed.NO: "no", Billed.MAYBE: "maybe", Billed.YES: "yes"}


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    titles = list(head)
    lines = [
        titles,
        ["---"] * len(titles),
        *([str(cell).replace("|", "\\|") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _happens(rule: Rule) -> str:
    also = (", all senders wait" if rule.slows else "") + (", the run stops" if rule.halts else "")
    return _RESENT[rule.resend] + also


def error_kinds() -> str:
    """Every `error_kind` and what it means."""
    head = ("`error_kind`", "meaning", "the request is", "row ends as", "paid for?", "who can mend it")
    rows = (
        (f"`{kind}`", rule.meaning, _happens(rule), rule.rest, _BILLED[rule.billed], rule.who)
        for kind, rule in RULES.items()
    )
    return _table(head, rows)


def _option_rows() -> Iterator[tuple[str, str, str]]:
    keys = {option.flag: option.key for option in JOB_OPTIONS}
    for option in run_command.params:
        if isinstance(option, click.Option):
            flag = f"{option.opts[-1]} {option.metavar or ''}".strip()
            key = keys.get(option.opts[-1])
            yield f"`{flag}`", f"`{key}`" if key else "", (option.help or "").replace("<", "&lt;")


def options() -> str:
    """Every option of `run` and the job key that it sets."""
    return _table(("option", "job key", "meaning"), _option_rows())


def other_keys() -> str:
    """Keys of the job file that have no option."""
    named = {option.key for option in JOB_OPTIONS}
    rows = (
        (f"`{key}`", leaf["description"], allowed(leaf), f"`{leaf['default']}`" if "default" in leaf else "")
        for key, leaf in job_keys().items()
        if key not in named
    )
    return _table(("key", "meaning", "value", "default"), rows)


def manifest_columns() -> str:
    """The columns that a manifest may have."""
    others = {role: ", ".join(f"`{alias}`" for alias in names[1:]) for role, names in ALIASES.items()}
    meanings = {
        "prompt": f"required, 1 to {MAX_PROMPT_CHARS:,} characters",
        "id": "optional, unique; without it derived from the row's content",
    }
    rows = [(f"`{role}`", meanings[role], others[role]) for role in ALIASES]
    rows += [(f"`{rule.name}`", f"{rule.meaning}; empty: the job's default", "") for rule in FIELDS.values()]
    rows.append(("any other", "carried through to the results unchanged", ""))
    return _table(("column", "meaning", "also found as"), rows)


def results_columns() -> str:
    """The columns of results.parquet."""
    rows = [(f"`{name}`", f"`{kind}`", meaning) for name, kind, meaning in COLUMNS]
    rows.append(("the manifest's others", "as read", "prefixed `manifest_` where the name is taken"))
    return _table(("column", "type", "meaning"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "options": options,
    "other-keys": other_keys,
    "manifest-columns": manifest_columns,
    "results-columns": results_columns,
    "error-kinds": error_kinds,
    "relays": relay_table,
}

_MARKED = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """The README with every marked table written anew. Raises KeyError for a table that is not ours."""
    return _MARKED.sub(lambda found: f"{found[1]}{TABLES[found['name']]()}\n{found[3]}", text)


if __name__ == "__main__":
    README.write_text(filled(README.read_text("utf-8")), "utf-8")
