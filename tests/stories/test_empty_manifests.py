"""A manifest without a single row is a mistake of whoever wrote it, not a night that went well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from runner.config.loader import load_job
from schemas.errors import JobError
from tests.support.commandline import CommandLine
from tests.support.odd_manifests.parquets import parquet
from tests.support.playedjob import PlayedJob, played

FILES = {
    "p.csv": b"id,prompt\n",
    "p.tsv": b"id\tprompt\n\n",
    "p.txt": b"\n  \n\n",
    "table.txt": b"id\tprompt\r\n",
    "p.json": b"[]",
    "p.jsonl": b"\n",
    "p.parquet": parquet({"prompt": pa.array([], pa.string())}),
}
VALUES: list[Any] = [
    pd.DataFrame({"prompt": []}),
    [],
    {"prompt": []},
    pa.table({"prompt": pa.array([], pa.string())}),
]


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_rows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(job: PlayedJob) -> None:
        path = job.folder / name
        path.write_bytes(FILES[name])
        assert f"{path} has no rows: nothing is asked for" in await job.refused(path)
        assert not job.out.exists()
        with pytest.raises(JobError, match="has no rows"):
            job.plan(path)
        summary = await job.run(path, set={"input.allow_empty": True})
        assert (summary.exit_code, summary.rows, job.sent) == (0, 0, [])

    played(story)(tmp_path, monkeypatch)


@pytest.mark.parametrize("rows", VALUES, ids=lambda value: type(value).__name__)
def test_python_rows_of_which_there_are_none(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(job: PlayedJob) -> None:
        assert "has no rows: nothing is asked for" in await job.refused(rows)
        assert not job.out.exists()
        assert (await job.run(rows, set={"input.allow_empty": True})).exit_code == 0

    played(story)(tmp_path, monkeypatch)


@played
async def test_an_export_that_came_empty_takes_nothing_out_of_the_table(job: PlayedJob) -> None:
    path = job.write("id,prompt\n1,a fox\n")
    await job.run(path)
    job.write("id,prompt\n")
    await job.refused(path)
    assert job.rows("row_id", "status") == [("1", "succeeded")]
    assert job.status().by_status == {"succeeded": 1}
    assert (await job.run(path, set={"input.allow_empty": True})).removed == 1


@played
async def test_a_part_of_several_files_may_be_empty(job: PlayedJob) -> None:
    job.write("id,prompt\n", "a.csv")
    job.write("id,prompt\n1,a fox\n", "b.csv")
    await job.run(str(job.folder / "?.csv"))
    assert job.sent == ["a fox"]


def test_allowing_it_selects_no_rows(tmp_path: Path) -> None:
    """The whole manifest still takes part, so that rows that are gone are told."""
    from jobs.selection import reads_all

    assert reads_all(load_job("p.csv", {"input.allow_empty": True}, environ={}, cwd=tmp_path))


def test_a_night_tells_its_dead_mans_switch(command: CommandLine) -> None:
    (command.cwd / "p.csv").write_text("id,prompt\n")
    ended = command("run", "p.csv", "--simulate", "--out", "out", "--json")
    assert ended.code == 2
    assert json.loads(ended.out)["fix"].endswith("--set input.allow_empty=true")
    assert command("plan", "p.csv", "--simulate", "--out", "out").code == 2
