"""A job with a folder for each night: dates, what earlier nights left, one lock, deadlines; with real processes."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import runner
from schemas.errors import JobError
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended, Service
from tests.support.heldkey import HeldKey
from tests.support.servedjob import HANG_S, last_object, served_job
from tests.support.waiting import until

ROWS = 4
NIGHTS = ("2026-11-20", "2026-11-21", "2026-11-22")


@dataclass(frozen=True, slots=True)
class NightlyJob:
    """`nightly.toml`: four rows a night, in a manifest and a folder of that night. Two of night 21 are stuck once."""

    command: CommandLine
    service: Service

    def arguments(self, day: str, *options: str) -> tuple[str, ...]:
        return ("run", "nightly.toml", "--date", day, "--json", "--progress", "none", *options)

    def run(self, day: str, *options: str, key: str | None = None) -> Ended:
        environ = WITH_CANARY if key is None else {"IMAGEMILL_API_KEY": key}
        return self.command(*self.arguments(day, *options), environ=environ)

    def statuses(self, day: str) -> Counter[str]:
        return Counter(row["status"] for row in self.command.results(f"runs/{day}"))

    def sent(self) -> dict[str, int]:
        return dict(self.service.stats()["by_prompt"])

    def prompts(self, day: str) -> list[str]:
        return [f"night {day} row {row}" for row in range(ROWS)]


@pytest.fixture
def nightly(command: CommandLine) -> Iterator[NightlyJob]:
    (command.cwd / "incoming").mkdir()
    scenario = command.cwd / "stuck.toml"
    scenario.write_text('[[fault]]\nmatch = "night 2026-11-21 row [01]"\nkind = "hang"\ntimes = 1\n')
    with Service(command, "--latency", "0", "--scenario", str(scenario)) as service:
        job = NightlyJob(command, service)
        for day in NIGHTS:
            rows = "".join(f"{day}-{at},{text}\n" for at, text in enumerate(job.prompts(day)))
            (command.cwd / f"incoming/{day}.csv").write_text(f"id,prompt\n{rows}")
        (command.cwd / "nightly.toml").write_text(
            'manifest = "incoming/{date}.csv"\nout = "runs/{date:%Y-%m-%d}"\n'
            f'[endpoint]\nbase_url = "{service.base_url}"\n'
            '[request]\nsize = "64x64"\n[limits]\nconcurrency = 2\n'
        )
        yield job


def listed(nightly: NightlyJob) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = nightly.command("runs", "nightly.toml", "--json").json["runs"]
    return runs


def test_what_a_night_leaves_the_next_one_finishes_first(nightly: NightlyJob) -> None:
    """G0, G3: a budget, a kill, a revoked key; every row of every night is accounted for, and nothing is bought twice."""
    first, second, third = NIGHTS
    capped = nightly.run(first, "--max-requests", "1")
    assert (capped.code, capped.json["next"]) == (8, f"imagemill plan runs/{first}/job.toml")
    assert nightly.statuses(first) == {"succeeded": 1, "pending": 3}

    killed = nightly.command.start(*nightly.arguments(second, "--max-requests", "99"), environ=WITH_CANARY)
    until(lambda: int(nightly.service.stats()["in_flight"]) == 2)
    assert nightly.statuses(first) == {"succeeded": ROWS}
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=HANG_S)

    revoked = nightly.run(third, key="invalid")
    assert (revoked.code, revoked.json["out"]) == (4, f"runs/{third}")
    assert nightly.statuses(third) == {"pending": ROWS}
    assert nightly.statuses(second) == {"parked": 2, "pending": 2}

    (nightly.command.cwd / "incoming/2026-11-23.csv").write_text("prompt\nthe last night\n")
    last = nightly.run("2026-11-23")
    assert (last.code, last.json["out"]) == (0, "runs/2026-11-23")
    assert nightly.statuses(second) == {"parked": 2, "succeeded": 2}
    assert nightly.statuses(third) == {"succeeded": ROWS}
    assert {*nightly.sent().values()} == {1}
    runs = [(run["out"][-2:], run["exit_code"], run["images_saved"]) for run in listed(nightly)]
    assert runs == [
        *(("23", 0, 1), ("21", 3, 2), ("22", 0, 4), ("22", 4, 0), ("21", 4, 0)),
        *(("21", None, 0), ("20", 0, 3), ("20", 8, 1)),
    ]
    told = nightly.command("runs", "nightly.toml", "--limit", "6").out.splitlines()
    assert (len(told), told[-1].endswith(f"runs/{second}: killed")) == (7, True)


def test_a_deadline_that_has_passed_sends_nothing_and_forgets_nothing(nightly: NightlyJob) -> None:
    first, _, third = NIGHTS
    assert nightly.run(first, "--max-requests", "1").code == 8
    late = nightly.run(third, "--deadline", "2020-01-01")
    assert (late.code, late.json["exit_reason"]) == (10, "--deadline of 2020-01-01 00:00:00 reached")
    assert nightly.statuses(first) == {"succeeded": 1, "pending": 3}
    assert nightly.statuses(third) == {"pending": ROWS}
    assert sum(nightly.sent().values()) == 1
    assert nightly.run(third).code == 0
    assert nightly.statuses(first) == nightly.statuses(third) == {"succeeded": ROWS}
    assert set(nightly.sent().values()) == {1}
    done = nightly.run(third, "--deadline", "2020-01-01")
    assert (done.code, done.json["exit_reason"]) == (0, "every row succeeded")


def test_a_signal_while_an_earlier_night_is_finished_leaves_tonight_to_the_next(nightly: NightlyJob) -> None:
    _, second, third = NIGHTS
    assert nightly.run(second, "--max-requests", "0").code == 8
    going = nightly.command.start(*nightly.arguments(third, "--drain", "0"), environ=WITH_CANARY)
    until(lambda: int(nightly.service.stats()["in_flight"]) == 2)
    going.send_signal(signal.SIGTERM)
    summary = last_object(going)
    assert (going.returncode, summary["exit_code"], summary["out"]) == (143, 143, f"runs/{third}")
    assert nightly.statuses(second) == {"parked": 2, "pending": 2}
    assert nightly.statuses(third) == {"pending": ROWS}
    assert nightly.run(third).code == 0
    assert nightly.statuses(second) == {"parked": 2, "succeeded": 2}
    assert set(nightly.sent().values()) == {1}


def test_a_signal_before_an_earlier_night_is_gone_on_with_is_the_end_of_tonight_too(
    nightly: NightlyJob,
) -> None:
    first, _, third = NIGHTS
    assert nightly.run(first, "--max-requests", "1").code == 8
    key = HeldKey(nightly.command.cwd)
    going = nightly.command.start(*nightly.arguments(third, *key.options))
    until(key.is_asked_for)
    going.send_signal(signal.SIGTERM)
    key.give()
    summary = last_object(going)
    assert (going.returncode, summary["exit_code"], summary["out"]) == (143, 143, f"runs/{third}")
    assert summary["exit_reason"] == f"runs/{first}: terminated"
    assert nightly.statuses(third) == {"pending": ROWS}
    assert sum(nightly.sent().values()) == 1


def test_tasks_of_an_earlier_night_are_asked_for_again(command: CommandLine) -> None:
    """What was paid for last night is fetched tonight, though that run ended by itself."""
    (command.cwd / "p.csv").write_text("prompt\na slow fox\n")
    with Service(command, "--latency", "1", "--dialect", "dieyuyun") as service:
        (command.cwd / "tasks.toml").write_text(
            'manifest = "p.csv"\nout = "runs/{date}"\n[request]\nsize = "64x64"\n[endpoint]\n'
            f'base_url = "{service.base_url}"\ndialect = "dieyuyun"\npoll_every = 0.05\n'
        )
        first = ("run", "tasks.toml", "--date", "2026-11-20", "--set", "endpoint.task_timeout=0.1", "--json")
        left = command(*first, environ=WITH_CANARY)
        assert (left.code, left.json["by_error"]) == (3, {"task_timeout": 1})
        assert command("run", "tasks.toml", "--date", "2026-11-21", environ=WITH_CANARY).code == 0
        assert [row["status"] for row in command.results("runs/2026-11-20")] == ["succeeded"]
        assert service.stats()["requests"] == 2


def test_a_deadline_in_the_middle_of_a_run(command: CommandLine) -> None:
    """Nothing new after it; what is in flight lands, and the next run sends the rest, in the same folder."""
    with served_job(command, "--latency", "0.3") as job:
        due = datetime.now() + timedelta(seconds=2.5)
        ended = job.run("--concurrency", "2", "--deadline", due.isoformat())
        assert (ended.code, ended.json["by_status"].keys() <= {"succeeded", "pending"}) == (10, True)
        assert ended.json["exit_reason"] == f"--deadline of {due:%Y-%m-%d %H:%M:%S} reached"
        assert len(job.sent()) < job.rows
        assert job.run("--concurrency", "20").code == 0
        assert job.is_bought_once()


def test_nothing_is_carried_over_when_that_is_not_wanted(nightly: NightlyJob) -> None:
    first, _, third = NIGHTS
    assert nightly.run(first, "--max-requests", "1").code == 8
    assert nightly.run(third, "--set", "run.carry_over=1").code == 0
    assert nightly.statuses(first) == {"succeeded": 1, "pending": 3}


def test_an_earlier_folder_that_cannot_be_gone_on_with_does_not_stop_tonight(nightly: NightlyJob) -> None:
    first, _, third = NIGHTS
    assert nightly.run(first, "--max-requests", "1").code == 8
    (nightly.command.cwd / f"incoming/{first}.csv").unlink()
    tonight = nightly.run(third)
    assert (tonight.code, tonight.json["exit_code"]) == (0, 0)
    assert f"runs/{first} is left as it is: there is no file" in tonight.err


def test_the_job_file_of_a_night_goes_on_with_that_night(nightly: NightlyJob) -> None:
    """The manifest of that night, whatever the date is now; also after the folder was moved."""
    first = NIGHTS[0]
    assert nightly.run(first, "--max-requests", "1").code == 8
    (nightly.command.cwd / f"runs/{first}").rename(nightly.command.cwd / "moved")
    again = nightly.command("run", "moved/job.toml", "--max-requests", "9", "--json", environ=WITH_CANARY)
    assert (again.code, again.json["out"], again.json["folder"]["requests_sent"]) == (0, "moved", ROWS)
    assert set(nightly.sent().values()) == {1}


def test_nights_that_overlap(nightly: NightlyJob) -> None:
    """G10: one run of a job at a time, though each night has a folder of its own."""
    _, second, third = NIGHTS
    stuck = nightly.command.start(*nightly.arguments(second), environ=WITH_CANARY)
    until(lambda: int(nightly.service.stats()["in_flight"]) == 2)
    refused = nightly.run(third)
    assert (refused.code, refused.json["exit_code"], len(refused.out.splitlines())) == (6, 6, 1)
    assert "another run of nightly.toml is going on" in refused.err
    running = listed(nightly)[0]
    assert (running["exit_code"], running["duration_s"], running["exit_reason"]) == (None, None, "running")
    assert not (nightly.command.cwd / f"runs/{third}").exists()
    patient = nightly.command.start(*nightly.arguments(third, "--wait-lock", "2m"), environ=WITH_CANARY)
    stuck.send_signal(signal.SIGKILL)
    stuck.communicate(timeout=HANG_S)
    assert last_object(patient)["exit_code"] == 0
    assert nightly.statuses(second) == {"parked": 2, "succeeded": 2}
    assert nightly.statuses(third) == {"succeeded": ROWS}


def test_a_folder_of_manifests_that_grows(nightly: NightlyJob) -> None:
    """Only new rows are sent, also when their file sorts before the others."""
    options = ("--out", "fixed", "--set", "manifest=incoming/*-2[02].csv")
    assert nightly.run(NIGHTS[0], *options).json["folder"]["requests_sent"] == 2 * ROWS
    (nightly.command.cwd / "incoming/0000-20.csv").write_text("id,prompt\nnew,brand new\n")
    again = nightly.run(NIGHTS[0], *options)
    assert (again.code, again.json["folder"]["requests_sent"], again.json["rows"]) == (
        0,
        2 * ROWS + 1,
        2 * ROWS + 1,
    )
    assert set(nightly.sent().values()) == {1}
    assert nightly.command.results("fixed")[0]["row_id"] == "new"
    empty = nightly.run(NIGHTS[0], "--set", "manifest=nothing/*.csv")
    assert (empty.code, empty.json["exit_reason"]) == (2, "no file matches nothing/*.csv")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--date", "2026-02-30"), '--date "2026-02-30": must be a day such as 2026-11-21'),
        (("--deadline", "25:00"), '--deadline "25:00": must be a time such as 06:00'),
        (("--max-error-rate", "2"), "--max-error-rate"),
        (
            ("--ping-url", "ftp://somewhere"),
            "--ping-url (value not shown): must begin with https://",
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(
    command: CommandLine, option: tuple[str, ...], told: str
) -> None:
    (command.cwd / "p.csv").write_text("prompt\na\n")
    ended = command("run", "p.csv", "--simulate", *option, "--json")
    assert (ended.code, len(ended.out.splitlines())) == (2, 1)
    assert told in json.loads(ended.out)["exit_reason"]
    assert list(command.cwd.iterdir()) == [Path(command.cwd / "p.csv")]


def test_python_runs_a_job_file_as_the_command_does(
    command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier nights first; options that tell of a run are heeded."""
    (command.cwd / "p.csv").write_text("prompt\na\nb\n")
    (command.cwd / "job.toml").write_text(
        "manifest = 'p.csv'\nout = 'runs/{date}'\nsimulate = true\n[simulator]\nlatency = 0\n"
    )
    monkeypatch.chdir(command.cwd)
    monkeypatch.setenv("XDG_STATE_HOME", str(command.cwd / "state"))
    first = runner.run("job.toml", date="2026-11-20", size="64x64", max_requests=1)
    assert (first.exit_code, first.out) == (8, "runs/2026-11-20")
    second = runner.run("job.toml", date=date(2026, 11, 21), size="64x64", canary=1)
    assert (second.exit_code, second.out) == (0, "runs/2026-11-21")
    assert list(runner.results("runs/2026-11-20").status) == ["succeeded", "succeeded"]
    with pytest.raises(JobError, match=r"run\.ping_url"):
        runner.run("job.toml", ping_url="env:NOT_SET_ANYWHERE")
