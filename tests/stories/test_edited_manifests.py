"""Edited manifests and pilots in one folder, with real runs: what is sent is counted by the service."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import runner
from jobs.selection import RetrySelection
from runner.app import use_cases
from runner.config.loader import load_job
from runner.ledger import completion_cache
from runner.ledger.reader import LedgerReader
from runner.retry.request import RetryRequest
from schemas.errors import JobError
from schemas.job import Job
from schemas.reports import Plan
from tests.support.canary import CANARY
from tests.support.commandline import CommandLine, Service

SCENARIO = """
[[fault]]
match = "refused"
kind = "moderation"
[[fault]]
match = "lost"
kind = "disconnect"
"""
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "s.toml").write_text(SCENARIO)
    with Service(CommandLine(folder), "--latency", "0", "--scenario", "s.toml") as served:
        yield served


@dataclass
class Nights:
    """One folder, run again and again. sent: what the service got before, by prompt."""

    folder: Path
    service: Service
    sent: Counter[str] = field(default_factory=Counter)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def write(self, rows: Rows, name: str = "p.csv") -> str:
        """The manifest; its path."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
        (self.folder / name).write_text(text.getvalue())
        return str(self.folder / name)

    def options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"out": str(self.out), "base_url": self.service.base_url, "size": "64x64"} | options

    def run(self, manifest: Any, **options: Any) -> runner.RunSummary:
        """A run to its end."""
        return runner.run(manifest, **self.options(options))

    def plan(self, manifest: str, **options: Any) -> Plan:
        named = {
            f"input.{name}" if name in ("limit", "sample") else name: value for name, value in options.items()
        }
        overrides = {
            "out": str(self.out),
            "endpoint.base_url": self.service.base_url,
            "request.size": "64x64",
        } | named
        return use_cases.plan_job(load_job(manifest, overrides, environ={}, cwd=self.folder))

    def stops(self, manifest: Any, **options: Any) -> str:
        """Run where edited rows forbid it: nothing is sent and nothing that stands in the folder changes; the message."""
        before = self.standing()
        with pytest.raises(JobError) as error:
            self.run(manifest, **options)
        assert (error.value.exit_code, self.standing(), self.new()) == (2, before, {})
        return f"{error.value.message}\n{error.value.fix}"

    def new(self) -> dict[str, int]:
        """What the service was sent since the last call, by prompt."""
        now = Counter(self.service.stats()["by_prompt"])
        found, self.sent = now - self.sent, now
        return dict(found)

    def standing(self) -> dict[str, bytes]:
        """Every file of the folder but the ledger's and the logs."""
        every = (path for path in self.out.rglob("*") if path.is_file())
        files = (path for path in every if "ledger" not in path.name and path.parent.name != "logs")
        return {str(path.relative_to(self.out)): path.read_bytes() for path in files}

    def results(self) -> dict[str, dict[str, Any]]:
        """Results rows by id; of images after the first, by id and index."""
        rows = pq.read_table(self.out / "results.parquet").to_pylist()
        return {row["row_id"] + (f"/{row['image_index']}" if row["image_index"] else ""): row for row in rows}

    def is_sound(self) -> bool:
        """Whether images and tables are what manifest, ledger and job say."""
        return not use_cases.verify_folder(self.out).problems


@pytest.fixture
def nights(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Nights:
    monkeypatch.setenv("IMAGEMILL_API_KEY", CANARY)
    monkeypatch.chdir(tmp_path)
    made = Nights(tmp_path, service)
    made.new()
    return made


def rows(name: str, *numbers: int) -> Rows:
    """Rows whose prompts no other test sends."""
    return [{"id": f"{name}{i}", "prompt": f"{name} {i}"} for i in numbers]


def edited(manifest: Rows, **prompts: str) -> Rows:
    """The same with other prompts, by id."""
    return [row | {"prompt": prompts.get(row["id"], row["prompt"])} for row in manifest]


def test_appended_and_reordered_and_removed_rows(nights: Nights) -> None:
    nights.run(nights.write(rows("a", 0, 1, 2)))
    assert nights.new() == {"a 0": 1, "a 1": 1, "a 2": 1}
    path = nights.write(rows("a", 3, 2, 0))
    told = nights.plan(path).changes
    assert told is not None
    assert (told.unchanged, told.new_rows, told.removed_rows, told.edited) == (2, ("a3",), ("a1",), 0)
    before = nights.standing()
    assert nights.run(path).removed == 1
    assert nights.new() == {"a 3": 1}
    assert [(row["row_id"], row["row"]) for row in nights.results().values()] == [
        ("a3", 0),
        ("a2", 1),
        ("a0", 2),
    ]
    images = {name for name in before if name.startswith("images/")}
    assert images < {*nights.standing()}
    assert use_cases.status(nights.out).removed == 1
    assert nights.is_sound()


def test_an_edited_row_stops_the_run_until_it_is_kept_or_made_anew(nights: Nights) -> None:
    first = rows("b", 0, 1, 2)
    nights.run(nights.write(first))
    nights.new()
    old = nights.results()
    path = nights.write(edited(first, b1="b 1 at dawn"))

    told = nights.stops(path)
    assert "b1   prompt: 'b 1' -> 'b 1 at dawn'" in told
    assert "--on-change regenerate" in told and "--on-change keep" in told
    plan = nights.plan(path)
    assert (plan.requests, plan.done) == (1, 2)
    assert "run sends nothing until" in plan.warnings[0].message

    assert nights.plan(path, **{"run.on_change": "keep"}).requests == 0
    assert nights.run(path, on_change="keep").by_status == {"succeeded": 3}
    assert nights.new() == {}
    kept = nights.results()
    assert kept["b1"] == old["b1"] | {"prompt": "b 1 at dawn", "flags": [*old["b1"]["flags"], "edited"]}
    assert [kept[name] for name in ("b0", "b2")] == [old[name] for name in ("b0", "b2")]
    assert use_cases.status(nights.out).by_status == {"succeeded": 3}
    assert nights.is_sound()
    before = nights.standing() | {"summary.json": b""}
    nights.run(path, on_change="keep")
    assert nights.standing() | {"summary.json": b""} == before
    nights.stops(path)

    nights.run(path, on_change="regenerate")
    assert nights.new() == {"b 1 at dawn": 1}
    assert (nights.results()["b1"]["attempts"], nights.results()["b1"]["flags"]) == (1, old["b1"]["flags"])
    assert (nights.out / old["b1"]["file_name"]).is_file()
    assert nights.is_sound()
    nights.run(nights.write(first))  # back to what was made first: it is still there
    assert (nights.new(), nights.results()) == ({}, old)


def test_an_edited_row_without_an_image_is_sent_and_one_that_is_parked_is_not(nights: Nights) -> None:
    first = [{"id": "x", "prompt": "c refused"}, {"id": "y", "prompt": "c lost"}]
    nights.run(nights.write(first))
    assert nights.new() == {"c refused": 1, "c lost": 1}
    nights.run(nights.write(edited(first, x="c mended")))
    assert nights.new() == {"c mended": 1}
    path = nights.write(edited(first, x="c mended", y="c found"))
    assert "y   prompt: 'c lost' -> 'c found'" in nights.stops(path)
    nights.run(path, on_change="keep")
    assert (nights.results()["y"]["status"], nights.results()["y"]["prompt"]) == ("parked", "c found")
    parked = RetryRequest(RetrySelection(parked=True))
    assert use_cases.retry_folder(nights.out, parked).by_status == {"succeeded": 1, "parked": 1}
    assert nights.new() == {}
    nights.run(path, on_change="regenerate")
    assert nights.new() == {"c found": 1}


def test_a_task_that_goes_on_holds_its_row(nights: Nights, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "s.toml").write_text('[[fault]]\nmatch = "endless"\nkind = "task_never_ends"\n')
    options: dict[str, Any] = {
        "dialect": "evolink",
        "set": {"endpoint.task_timeout": 0.3, "endpoint.poll_every": 0.1},
    }
    first = [{"id": "x", "prompt": "endless"}, {"id": "y", "prompt": "p 1"}]
    with Service(
        CommandLine(folder), "--latency", "0", "--scenario", "s.toml", "--dialect", "evolink"
    ) as tasks:
        others = Nights(nights.folder, tasks)
        others.run(others.write(first), **options)
        assert others.new() == {"endless": 1, "p 1": 1}
        path = others.write(edited(first, x="p 2"))
        assert "x   prompt: 'endless' -> 'p 2'" in others.stops(path, **options)
        assert others.run(path, on_change="keep", **options).by_status == {"succeeded": 1, "parked": 1}
        assert others.new() == {}
        assert others.run(path, on_change="regenerate", **options).by_status == {"succeeded": 2}
        assert others.new() == {"p 2": 1}


def test_retry_stops_over_edited_rows_too(nights: Nights) -> None:
    first = [{"id": "x", "prompt": "d refused"}, {"id": "y", "prompt": "d 1"}]
    path = nights.write(first)
    nights.run(path)
    nights.new()
    nights.write(edited(first, y="d 2"))
    with pytest.raises(JobError, match="1 row was edited"):
        use_cases.retry_folder(nights.out, RetryRequest())
    assert nights.new() == {}


def test_the_old_image_stands_however_many_the_edited_row_asks_for(nights: Nights) -> None:
    first = [{"id": "x", "prompt": "e 0", "n": "2"}, {"id": "y", "prompt": "e 1", "n": ""}]
    nights.run(nights.write(first))
    nights.new()
    path = nights.write([first[0] | {"n": "1"}, first[1] | {"n": "3"}])
    assert "x   n: 2 -> 1" in nights.stops(path)
    summary = nights.run(path, on_change="keep")
    assert (nights.new(), summary.by_status, summary.exit_code) == ({}, {"succeeded": 3}, 0)
    assert [(row["n"], row["flags"][-1]) for row in nights.results().values()] == [
        (2, "edited"),
        (2, "edited"),
        (None, "edited"),
    ]


def test_the_same_request_told_by_another_column_is_no_edit(nights: Nights) -> None:
    first = rows("f", 0, 1)
    nights.run(nights.write(first))
    nights.new()
    old = nights.results()
    path = nights.write([row | {"size": "64x64"} for row in first])
    assert (nights.run(path).by_status, nights.new()) == ({"succeeded": 2}, {})
    assert nights.results() == old
    assert nights.is_sound()


def test_rows_that_cannot_be_sent_are_neither_edited_nor_removed(nights: Nights) -> None:
    first = rows("g", 0, 1, 2)
    nights.run(nights.write(first))
    nights.new()
    path = nights.write([*edited(first, g1=""), {"id": "g0", "prompt": "g again"}])
    told = nights.plan(path).changes
    assert told is not None
    assert (told.unchanged, told.new, told.edited, told.removed) == (2, 0, 0, 0)
    assert nights.run(path).by_status == {"succeeded": 2, "invalid": 2}
    assert nights.new() == {}


def test_rows_without_ids_are_new_and_removed_when_they_are_edited(nights: Nights) -> None:
    nights.run(nights.write([{"prompt": "h 0"}, {"prompt": "h 1"}]))
    nights.new()
    path = nights.write([{"prompt": "h 0"}, {"prompt": "h 2"}])
    told = nights.plan(path).changes
    assert told is not None
    assert (told.unchanged, told.new, told.edited, told.removed) == (1, 1, 0, 1)
    nights.run(path)
    assert nights.new() == {"h 2": 1}


def test_pilots_are_kept_and_not_paid_for_again(nights: Nights) -> None:
    path = nights.write(rows("i", *range(12)))
    nights.run(path, sample=4, seed=1)
    pilot = nights.results()
    assert (len(pilot), sum(nights.new().values())) == (4, 4)
    assert [row["row_id"] for row in pilot.values()] == [f"i{row['row']}" for row in pilot.values()]
    told = nights.plan(path, limit=3).changes
    assert told is not None
    assert (told.removed, told.edited, told.unchanged + told.new) == (0, 0, 3)
    nights.run(path, limit=3)
    assert [row["row"] for row in nights.results().values()] == [0, 1, 2]
    assert nights.run(path).removed == 0
    assert nights.results() | pilot == nights.results()
    assert [row["row"] for row in nights.results().values()] == [*range(12)]
    counts = nights.service.stats()["by_prompt"]
    assert {counts[f"i {i}"] for i in range(12)} == {1}
    assert nights.is_sound()


def test_an_edited_frame_follows_the_same_rules(nights: Nights) -> None:
    frame = pd.DataFrame(rows("j", 0, 1))
    nights.run(frame)
    nights.new()
    other = frame.assign(prompt=["j 0", "j 1 at dawn"])
    nights.stops(other)
    nights.run(other, on_change="keep")
    assert (nights.new(), nights.results()["j1"]["prompt"]) == ({}, "j 1 at dawn")
    nights.run(other, on_change="regenerate")
    assert nights.new() == {"j 1 at dawn": 1}
    assert nights.is_sound()


@pytest.fixture
def _small_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion_cache, "LEAST_ROWS", 2)


@pytest.mark.usefixtures("_small_maps")
def test_a_map_of_what_is_done_hides_no_edit(nights: Nights) -> None:
    first = rows("k", 0, 1, 2, 3)
    nights.run(nights.write(first))
    assert (nights.out / completion_cache.MAP_NAME).is_file()
    path = nights.write([*edited(first, k1="k 1 at dawn", k2="k 2 at dawn"), *rows("k", 4)])
    nights.new()
    for _ in range(2):
        nights.run(path, on_change="keep")
    assert nights.new() == {"k 4": 1}
    spent = use_cases.status(nights.out).folder.requests_sent
    nights.run(path, on_change="regenerate", max_requests=spent + 1)
    assert nights.new() == {"k 1 at dawn": 1}
    assert "k2   prompt" in nights.stops(path)
    nights.run(path, on_change="regenerate")
    assert nights.new() == {"k 2 at dawn": 1}
    with LedgerReader.open(nights.out) as ledger:
        assert ledger.completed_rows(Job(manifest=path)).rows
    assert (nights.run(path).by_status, nights.new()) == ({"succeeded": 5}, {})


@pytest.mark.usefixtures("_small_maps")
def test_a_map_is_not_trusted_once_another_manifest_was_run(nights: Nights) -> None:
    path = nights.write(rows("l", 0, 1, 2))
    nights.run(path, max_requests=2)
    nights.run(nights.write([{"id": "l2", "prompt": "l 2 at dawn"}], "other.csv"))
    assert nights.new() == {"l 0": 1, "l 1": 1, "l 2 at dawn": 1}
    assert "l2   prompt: 'l 2 at dawn' -> 'l 2'" in nights.stops(path)


def test_other_defaults_buy_nothing_again_and_are_told(nights: Nights) -> None:
    path = nights.write(rows("m", 0, 1))
    nights.run(path)
    nights.new()
    (found,) = nights.plan(path, **{"request.size": "96x96"}).warnings[:1]
    warning = found.message
    assert warning.startswith(
        "2 finished rows were made with other settings (size: 64x64 -> 96x96) and are kept"
    )
    assert f"imagemill retry {nights.out} --succeeded --yes --set size=96x96" in warning
    notes: set[str] = set()
    nights.run(path, size="96x96", on_progress=lambda progress: notes.update(progress.notes))
    assert warning in notes
    assert (nights.new(), {row["size"] for row in nights.results().values()}) == ({}, {"64x64"})
    assert not [each for each in nights.plan(path).warnings if "other settings" in each.message]
    sized = nights.write([row | {"size": "64x64"} for row in rows("m", 0, 1)])
    assert not [each for each in nights.plan(sized).warnings if "other settings" in each.message]


def test_another_column_of_prompts_or_another_manifest_is_suspicious(nights: Nights) -> None:
    first = [row | {"caption": f"{row['prompt']} in words"} for row in rows("o", 0, 1, 2)]
    path = nights.write(first)
    nights.run(path)
    nights.new()
    assert "every row looks different: was the column of prompts or ids changed?" in nights.stops(
        path, prompt_col="caption"
    )
    other = nights.write(rows("other", 0, 1), "other.csv")
    assert "no row of this manifest is among the 3 rows" in nights.plan(other).warnings[0].message
    notes: set[str] = set()
    nights.run(other, on_progress=lambda progress: notes.update(progress.notes))
    assert [text for text in notes if "is it the right folder" in text]
    assert sum(nights.new().values()) == 2


def test_what_moved_is_found_again_and_loses_nothing(nights: Nights) -> None:
    path = nights.write(rows("q", 0, 1))
    nights.run(path)
    nights.new()
    moved = Path(path).rename(nights.folder / "moved.csv")
    assert use_cases.status(nights.out).by_status == {"succeeded": 2}
    with pytest.raises(JobError) as error:
        nights.run(path)
    assert error.value.message.endswith("there is no file " + path)
    assert f"imagemill run MANIFEST --out {nights.out} goes on with it" in error.value.fix
    nights.out.rename(nights.folder / "elsewhere")
    summary = nights.run(str(moved), out=str(nights.folder / "elsewhere"))
    assert (summary.by_status, nights.new()) == ({"succeeded": 2}, {})
