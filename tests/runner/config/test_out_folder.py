"""Output folders: names that come from manifests, and templates."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from runner.config.loader import load_job
from runner.config.out_folder import manifest_stem, out_folder
from schemas.errors import JobError
from schemas.job import Job

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("manifest", "stem"),
    [
        ("prompts.csv.gz", "prompts"),
        ("a/b/prompts.v2.jsonl.zst", "prompts.v2"),
        ("prompts", "prompts"),
        ("sets/night/*.txt", "night"),
        ("sets/**/*.csv", "sets"),
        ("*.csv", "csv"),
        ("s3://bucket/dir/my%20list.parquet", "my_list"),
        ("https://host/p.csv?sig=abc", "p"),
        ("weird name;rm -rf.csv", "weird_name_rm_-rf"),
        ("..", "manifest"),
        (None, "manifest"),
    ],
)
def test_manifest_stems(manifest: str | None, stem: str) -> None:
    assert manifest_stem(manifest) == stem


def test_a_folder_gives_its_whole_name(tmp_path: Path) -> None:
    (tmp_path / "set.d").mkdir()
    assert manifest_stem(str(tmp_path / "set.d")) == "set.d"
    assert manifest_stem("not/there.d/") == "there.d"


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("runs/{manifest_stem}", "runs/p"),
        ("{date}/{run_id}", "2026-11-22/r1"),
        ("runs/{date:%Y/%m}", "runs/2026/11"),
        ("plain", "plain"),
    ],
)
def test_output_templates(template: str, folder: str) -> None:
    assert out_folder(Job(manifest="p.csv", out=template), today=TODAY, run_id="r1") == Path(folder)


@pytest.mark.parametrize("template", ["{user}", "{date", "a}b", "{run_id:x}", " "])
def test_output_templates_that_are_refused(template: str) -> None:
    with pytest.raises(JobError):
        out_folder(Job(manifest="p.csv", out=template), today=TODAY, run_id="r1")


def ran(folder: Path) -> None:
    """Make this an output folder."""
    folder.mkdir(parents=True)
    (folder / "ledger.sqlite").touch()


OUTS = [
    # out of the job file, the folder it made beside itself on an earlier run
    ('out = "runs/x"', "runs/x"),
    ("", "runs/p"),
    ('out = "runs/{manifest_stem}-[1]"', "runs/p-[1]"),
    ('out = "runs/{date:%Y/%m/%d}"', "runs/2026/11/21"),
    ('out = "runs/{date}-{manifest_stem}"', "runs/2026-11-21-p"),
    ('out = "../x"', "../x"),
]


@pytest.mark.parametrize(("line", "made"), OUTS)
def test_a_job_that_is_run_from_elsewhere_goes_on_beside_its_file(
    line: str, made: str, tmp_path: Path
) -> None:
    jobs, elsewhere = tmp_path / "a" / "jobs", tmp_path / "b" / "cwd"
    for folder in (jobs, elsewhere):
        folder.mkdir(parents=True)
    (jobs / "job.toml").write_text(f'manifest = "p.csv"\n{line}\n')

    def out() -> Path:
        job = load_job("../../a/jobs/job.toml", {"date": "2026-11-22"}, environ={}, cwd=elsewhere)
        return elsewhere / out_folder(job, today=TODAY, run_id="r")

    fresh = out()
    assert fresh.resolve().is_relative_to(tmp_path / "b"), "a new job is where it is run"
    ran(jobs / made)
    assert out().resolve().is_relative_to(tmp_path / "a"), "one that has run is where it has run"
    ran(fresh)
    assert out() == fresh, "and one that has run here goes on here"


def test_an_out_that_is_absolute_or_an_option_stays(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    ran(jobs / "runs" / "x")
    (jobs / "job.toml").write_text(f'manifest = "p.csv"\nout = "{tmp_path}/y"\n')
    assert load_job("jobs/job.toml", {}, environ={}, cwd=tmp_path).out == f"{tmp_path}/y"
    (jobs / "job.toml").write_text('manifest = "p.csv"\nout = "runs/x"\n')
    assert load_job("jobs/job.toml", {"out": "z"}, environ={}, cwd=tmp_path).out == "z"
    assert load_job("jobs/job.toml", {}, environ={}, cwd=tmp_path).out == "jobs/runs/x"
