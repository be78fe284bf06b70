"""`imagemill schema`: the job file's JSON Schema, and the columns of the manifest and of the results."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from runner.cli.groups import Command
from runner.cli.options import common_options

Columns = list[dict[str, str]]
"""name, type and meaning of each column."""


def _manifest_columns() -> Columns:
    from runner.manifest.columns import ALIASES
    from schemas.request import FIELDS, MAX_PROMPT_CHARS

    meanings = {
        "prompt": f"required, 1 to {MAX_PROMPT_CHARS:,} characters",
        "id": "optional, unique; without it derived from the row's content",
    }
    columns = [
        {"name": role, "type": "text", "meaning": f"{meanings[role]}; also named {', '.join(aliases[1:])}"}
        for role, aliases in ALIASES.items()
    ]
    kinds = {str: "text", int: "whole number"}
    columns += [
        {"name": rule.name, "type": kinds[rule.kind], "meaning": f"{rule.meaning}; empty: the job's default"}
        for rule in FIELDS.values()
    ]
    columns.append(
        {"name": "(others)", "type": "as read", "meaning": "carried through to the results unchanged"}
    )
    return columns


def _results_columns() -> Columns:
    from schemas.results import COLUMNS

    return [{"name": name, "type": str(kind), "meaning": meaning} for name, kind, meaning in COLUMNS]


TABLES: dict[str, Callable[[], Columns]] = {"manifest": _manifest_columns, "results": _results_columns}


def _job_schema() -> dict[str, Any]:
    from runner.config.json_schema import job_json_schema

    return job_json_schema()


def _summary_schema() -> dict[str, Any]:
    from schemas.json_objects import json_schema

    return json_schema()


_JSON_SCHEMAS = {"job": _job_schema, "summary": _summary_schema}


def _schema(**values: Any) -> int:
    from runner.cli.json_report import print_report

    what, as_json = values["what"], values["as_json"]
    if what in _JSON_SCHEMAS:
        document = _JSON_SCHEMAS[what]()
        if as_json:
            print_report("schema", {"schema": document})
        else:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return 0
    columns = TABLES[what]()
    if as_json:
        print_report("schema", {"table": what, "columns": columns})
        return 0
    wide = {part: max(len(column[part]) for column in columns) for part in ("name", "type")}
    for column in columns:
        click.echo(f"{column['name']:<{wide['name']}}  {column['type']:<{wide['type']}}  {column['meaning']}")
    return 0


command = Command(
    "schema",
    callback=_schema,
    params=[
        click.Argument(
            ["what"], type=click.Choice([*_JSON_SCHEMAS, *TABLES]), metavar="job|summary|manifest|results"
        ),
        *common_options(),
    ],
    help="job: JSON Schema of the job file, for editors. summary: of what --json prints, command by command."
    " manifest, results: the columns of the tables.",
)
