"""`--error KIND` as commands take it."""

from __future__ import annotations

import click

from schemas.failures import FailureKind

ERROR_KINDS = tuple(kind.value for kind in FailureKind)


def error_kinds(names: tuple[str, ...]) -> frozenset[FailureKind]:
    """The kinds of failures of these names. Raises UsageError for one that is none, with the nearest."""
    from runner.text.nearest import nearest

    for name in names:
        if name not in ERROR_KINDS:
            near = nearest(name, ERROR_KINDS)
            hint = f", did you mean {near}?" if near else ""
            known = ", ".join(ERROR_KINDS)
            raise click.UsageError(f"--error {name}: no such kind of error{hint} (known: {known})")
    return frozenset(FailureKind(name) for name in names)
