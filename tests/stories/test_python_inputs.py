"""What people pass to `runner.run`: taken as it is meant, or refused with what is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import runner
from runner.manifest.formats.python_values import values_table
from schemas.errors import JobError
from tests.support.canary import CANARY
from tests.support.playedjob import PlayedJob, pictures, played
from tests.support.runs import Service

FRAME = pd.DataFrame({"id": ["fox", "owl"], "prompt": ["a fox", "an owl"]})


class Polars:
    """What polars, DuckDB and others are for whoever knows Arrow's protocol."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


def generated() -> Iterator[str]:
    yield "a fox"
    yield "an owl"


IDS = ["fox", "owl"]
INPUTS: dict[str, tuple[Any, list[str] | None]] = {
    "a named index": (FRAME.set_index("id"), IDS),
    "a series": (FRAME.set_index("id")["prompt"], IDS),
    "a series without names": (pd.Series(["a fox", "an owl"]), None),
    "a list": (["a fox", "an owl"], None),
    "a tuple": (("a fox", "an owl"), None),
    "a generator": (generated, None),
    "an array": (np.array(["a fox", "an owl"]), None),
    "dicts": ([{"id": "fox", "prompt": "a fox"}, {"prompt": "an owl", "id": "owl"}], IDS),
    "columns": ({"id": IDS, "prompt": ["a fox", "an owl"]}, IDS),
    "an Arrow table": (pa.table({"id": IDS, "prompt": ["a fox", "an owl"]}), IDS),
    "a record batch": (pa.record_batch({"id": IDS, "prompt": ["a fox", "an owl"]}), IDS),
    "Arrow's protocol": (Polars(pa.table({"id": IDS, "prompt": ["a fox", "an owl"]})), IDS),
    "a path": ("p.csv", IDS),
    "a Path": (Path("p.csv"), IDS),
}


@pytest.mark.parametrize("name", INPUTS)
def test_rows_in_every_form(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, ids = INPUTS[name]

    async def story(job: PlayedJob) -> None:
        job.write("id,prompt\nfox,a fox\nowl,an owl\n")
        summary = await job.run(rows() if callable(rows) else rows)
        assert (job.sent, summary.exit_code) == (["a fox", "an owl"], 0)
        assert ids is None or job.rows("row_id") == ids
        assert job.is_sound()

    played(story)(tmp_path, monkeypatch)


@played
async def test_levels_of_an_index_are_columns_and_ids_are_no_floats(job: PlayedJob) -> None:
    index = pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["set", "number"])
    await job.run(pd.DataFrame({"prompt": ["a fox", "an owl"]}, index=index))
    assert job.rows("set", "number") == [("x", 1), ("y", 2)]
    await job.run(
        [{"id": 1, "prompt": "a"}, {"id": 2, "prompt": "b"}, {"prompt": "c"}], out=str(job.folder / "other")
    )
    table = runner.results(job.folder / "other")
    assert table.row_id.tolist()[:2] == ["1", "2"]


@played
async def test_columns_arrive_in_the_results_as_they_were(job: PlayedJob) -> None:
    frame = pd.DataFrame(
        {
            "id": [1.0, 2.0, None],
            "prompt": ["a fox", "an owl", "a hare"],
            "tags": [["x", "y"], [], ["z"]],
            "style": [{"ink": 1}, {"ink": 2}, {"ink": 3}],
            "level": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["a", "b", "a"]),
        }
    )
    summary = await job.run(frame)
    assert summary.ok
    assert job.rows("tags", "style", "level", "kind") == [
        (["x", "y"], {"ink": 1}, 1, "a"),
        ([], {"ink": 2}, None, "b"),
        (["z"], {"ink": 3}, 3, "a"),
    ]
    assert job.rows("row_id")[:2] == ["1", "2"]
    table = summary.results()
    assert {str(table[name].dtype) for name in ("error_kind", "prompt", "kind", "path")} == {"string"}
    assert (str(table["level"].dtype), str(table["width"].dtype)) == ("Int64", "Int32")
    assert table["error_kind"].isna().all()
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in table["path"])


@pytest.mark.parametrize("ids", [pa.array([1.0, None]), pa.array([1, None])])
def test_whole_ids_of_arrow_tables(ids: pa.Array) -> None:
    table = values_table(pa.table({"prompt": ["a", "b"], "id": ids}))
    assert table.column("id").to_pylist() == [1, None] and pa.types.is_integer(table.column("id").type)


@played
async def test_a_prompt_that_is_no_text_costs_its_row_alone(job: PlayedJob) -> None:
    prompts = ["a fox", ["a", "list"], {"role": "user"}, None, float("nan"), "\ud800"]
    frame = pd.DataFrame({"id": range(6), "prompt": pd.Series(prompts, dtype=object)})
    summary = await job.run(frame)
    assert (job.sent, summary.exit_code) == (["a fox"], 3)
    assert job.rows("row_id", "status") == [("0", "succeeded"), *((str(i), "invalid") for i in range(1, 6))]
    assert "holds no text; every row needs a prompt" in job.rows("error_message")[1]


@played
async def test_missing_values_that_became_text_are_told(job: PlayedJob) -> None:
    frame = pd.DataFrame({"prompt": pd.Series(["a fox", float("nan"), None], dtype=object).map(str)})
    summary = await job.run(frame)
    told = [warned.message for warned in summary.warnings]
    assert any("the prompt is 'nan': is a value missing? (the first: row 1)" in text for text in told)
    assert any("the prompt is 'None'" in text for text in told)


NO_ROWS = [
    (7, "it is of the type int, and no rows"),
    (None, "it is None, and no rows"),
    (b"a fox", "it is of the type bytes, and no rows"),
    (["a fox", 7], "item 1 of the list is of the type int"),
    ([("a", "fox")], "item 0 of the list is of the type tuple"),
    ({"prompt": "a fox"}, "column 'prompt' is of the type str, and no rows"),
    ({"prompt": ["a"], "id": [1, 2]}, "the columns are not of the same length"),
    ([{"words": "a fox"}], "has no prompt column"),
    (pa.table({"words": ["a fox"]}), "has no prompt column"),
    (pd.DataFrame({"words": ["a fox"]}), "has no prompt column"),
]


@pytest.mark.parametrize(("rows", "told"), NO_ROWS, ids=lambda value: str(value)[:20])
def test_what_is_no_rows_is_refused_with_what_is(
    rows: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(job: PlayedJob) -> None:
        said = await job.refused(rows)
        assert told in said and not job.out.exists()
        assert "prompt column" in told or "a list of prompts, or of dicts with a row's columns" in said

    played(story)(tmp_path, monkeypatch)


def test_rows_need_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JobError, match="need a folder of their own") as error:
        runner.run(FRAME, simulate=True)
    assert "out=" in error.value.fix and not [*tmp_path.iterdir()]


def test_run_within_a_running_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a cell of a notebook. The service runs in a loop of another thread, for this one stands still."""
    monkeypatch.setenv("IMAGEMILL_API_KEY", CANARY)
    service = Service(pictures)

    async def cell() -> runner.RunSummary:
        return runner.run(FRAME, out=tmp_path / "out", base_url=service.base_url, price=0.01)

    async def main() -> None:
        async with service.serving():
            summary = await asyncio.to_thread(asyncio.run, cell())
            assert (summary.exit_code, sorted(service.prompts)) == (0, ["a fox", "an owl"])

    asyncio.run(main())
