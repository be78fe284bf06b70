"""Rows that cannot be sent, as `plan --json` lists them: their message taken apart."""

from __future__ import annotations

import re
from collections.abc import Mapping

from schemas.reports import InvalidRow
from schemas.row import RowProblem

_PLACE = re.compile(r"^(?:[^:]*, )?(?:line|row) (\d+):")
_COLUMN = re.compile(r"""column (?:'([^']*)'|"([^"]*)")""")
_MOST_CHARS = 200


def invalid_row(problem: RowProblem, columns: Mapping[str, str]) -> InvalidRow:
    """What is wrong with a row. columns: role -> the manifest's own column name."""
    place = _PLACE.match(problem.message)
    named = _COLUMN.search(problem.message)
    column = None if named is None else named[1] or named[2]
    roles = {name: role for role, name in columns.items()}
    values = {**dict(problem.fields), "prompt": problem.prompt, "id": problem.row_id}
    value = None if column is None else values.get(roles.get(column, column))
    return InvalidRow(
        line=None if place is None else int(place[1]),
        row_id=problem.row_id,
        column=column,
        value=None if value is None else value[:_MOST_CHARS],
        message=problem.message,
    )
