"""`imagemill schema` prints what the code itself uses."""

from __future__ import annotations

import json

import pytest

from runner.config.json_schema import job_json_schema
from schemas.request import FIELDS
from schemas.results import COLUMNS
from tests.runner.cli.conftest import Imagemill


def test_the_job_schema_as_text_and_on_one_line(imagemill: Imagemill) -> None:
    assert json.loads(imagemill("schema", "job").out) == job_json_schema()
    assert imagemill("schema", "job", "--json").json["schema"] == job_json_schema()


@pytest.mark.parametrize(
    ("table", "names"),
    [("manifest", ["prompt", "id", *FIELDS, "(others)"]), ("results", [name for name, _, _ in COLUMNS])],
)
def test_the_columns_of_the_tables(imagemill: Imagemill, table: str, names: list[str]) -> None:
    told = imagemill("schema", table, "--json").json
    assert [column["name"] for column in told["columns"]] == names
    lines = imagemill("schema", table).out.splitlines()
    assert [line.split()[0] for line in lines] == names
