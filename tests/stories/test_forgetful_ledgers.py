"""A ledger that knows less than the files beside it: nothing is paid for again, and `verify --repair` takes it in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended
from tests.support.servedjob import ServedJob, served_job

ROWS = 12


def statuses(command: CommandLine) -> list[tuple[str, int, str, str | None, str | None]]:
    """What became of each image."""
    rows = command.results("out")
    return [
        tuple(row[name] for name in ("row_id", "image_index", "status", "error_kind", "sha256"))
        for row in rows
    ]


def lose(out: Path, how: str, copy: Path) -> None:
    """Have a ledger that knows less."""
    for path in out.glob("ledger.sqlite*"):
        path.unlink()
    if how == "older":
        shutil.copy(copy, out / "ledger.sqlite")
    elif how == "emptied":
        (out / "ledger.sqlite").touch()


def refused(command: CommandLine, job: ServedJob) -> None:
    """Every command that would send something, or say what it would send, says what is wrong and sends nothing."""
    sent = job.sent()
    for ended in (job.run(), job.retry("--parked"), job.retry("--pending", "--dry-run"), plan(command, job)):
        assert (ended.code, "Traceback" in ended.err) == (7, False), ended
        assert "imagemill verify out --repair" in ended.err
    assert command("verify", "out").code == 7
    assert job.sent() == sent


def plan(command: CommandLine, job: ServedJob) -> Ended:
    """`plan` with the arguments of the run."""
    arguments = [each for each in job.arguments()[1:] if each not in ("-q", "--json")]
    return command("plan", *arguments, environ=WITH_CANARY)


@pytest.mark.parametrize(
    ("how", "table"),
    [
        ("older", "kept"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (("gone", "kept"), ("gone", "gone"), ("emptied", "older"), ("older", "gone"))
        ),
    ],
)
def test_what_a_lost_ledger_knew_is_taken_in_and_paid_for_once(
    command: CommandLine, how: str, table: str
) -> None:
    out, copies = command.cwd / "out", command.cwd / "copies"
    copies.mkdir()
    with served_job(command, "--latency", "0", rows=ROWS) as job:
        assert job.run("--limit", "5").code == 0
        for name in ("ledger.sqlite", "results.parquet"):
            shutil.copy(out / name, copies / name)
        assert job.run().code == 0
        before, requests = statuses(command), job.sent()
        lose(out, how, copies / "ledger.sqlite")
        if table == "older":
            shutil.copy(copies / "results.parquet", out / "results.parquet")
        elif table == "gone":
            (out / "results.parquet").unlink()
        refused(command, job)
        repaired = command("verify", "out", "--repair", "--json")
        known = 5 if how == "older" else 0
        told = f"knew {known} of 12 requests; {12 - known} taken in from the files beside it"
        first = repaired.json["problems"][0]
        assert (first["path"], first["problem"]) == ("ledger.sqlite", told)
        assert repaired.code == 0
        again = job.run()
        assert (again.code, job.sent()) == (0, requests)
        assert statuses(command) == before
        assert command("verify", "out").code == 0


def test_failures_and_parked_rows_are_taken_in_from_the_table(command: CommandLine) -> None:
    """They leave no image: the table alone tells that they were paid for, or may have been."""
    scenario = '[[fault]]\nmatch = "picture [0-3]$"\nkind = "{}"\ntimes = 1\n'
    (command.cwd / "kinds.toml").write_text(
        scenario.format("disconnect") + scenario.format("moderation").replace("0-3", "4-6")
    )
    with served_job(command, "--latency", "0", "--scenario", str(command.cwd / "kinds.toml"), rows=8) as job:
        first = job.run("--price", "0.04", "--max-cost", "0.4")
        before, requests = statuses(command), job.sent()
        assert {status for _, _, status, _, _ in before} >= {"parked", "failed"}
        (command.cwd / "out/ledger.sqlite").unlink()
        shutil.rmtree(command.cwd / "out/images")
        refused(command, job)
        assert command("verify", "out", "--repair").code == 7  # the images are gone
        again = job.run("--price", "0.04", "--max-cost", "0.4")
        assert (again.code, job.sent()) == (7, requests)
        assert again.json["by_status"] == first.json["by_status"]
        assert again.json["folder"]["maybe_billed"] == first.json["folder"]["maybe_billed"]


def test_a_killed_run_whose_wal_file_is_lost_is_taken_in_by_its_images(command: CommandLine) -> None:
    with served_job(command, "--latency", "0.2", rows=60) as job:
        assert job.run("--limit", "10").code == 0
        process = job.start("--concurrency", "4")
        job.reach(30)
        process.kill()
        process.communicate()
        for ending in ("-wal", "-shm"):
            (command.cwd / f"out/ledger.sqlite{ending}").unlink(missing_ok=True)
        images = {path.name for path in (command.cwd / "out/images").rglob("*.png")}
        requests = job.sent()
        refused(command, job)
        repaired = command("verify", "out", "--repair", "--json")
        assert repaired.code == 0
        ended = job.run()
        assert ended.code == 0
        twice = {prompt for prompt, times in job.sent().items() if times > 1}
        assert len(twice) <= len(requests) - len(images)
        assert len(images) >= 20
        assert images <= {path.name for path in (command.cwd / "out/images").rglob("*.png")}
        assert command("verify", "out").code == 0


@pytest.mark.slow
def test_images_whose_rows_cannot_be_told_stop_the_run_until_they_are_moved_away(
    command: CommandLine,
) -> None:
    with served_job(command, "--latency", "0", rows=3) as job:
        (command.cwd / "prompts.csv").write_text("id,prompt\n日,a\n本,b\n語,c\n")
        assert job.run().code == 0
        for name in ("ledger.sqlite", "results.parquet", "job.toml"):
            if name != "job.toml":
                (command.cwd / "out" / name).unlink()
        repaired = command("verify", "out", "--repair", "--json")
        assert repaired.code == 7
        unknown = [each["path"] for each in repaired.json["problems"] if "cannot be told" in each["problem"]]
        assert sorted(unknown) == [f"images/0000/{number}-0.png" for number in range(3)]
        assert job.run().code == 7
        assert set(job.sent().values()) == {1}
        (command.cwd / "out/images").rename(command.cwd / "moved")
        assert job.run().code == 0


@pytest.mark.slow
def test_an_image_that_is_not_whole_is_not_taken_in(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=2) as job:
        assert job.run().code == 0
        for name in ("ledger.sqlite", "results.parquet"):
            (command.cwd / "out" / name).unlink()
        image = command.cwd / "out/images/0000/r1-1-0.png"
        image.write_bytes(image.read_bytes()[:-4])
        repaired = command("verify", "out", "--repair", "--json")
        assert repaired.code == 7
        assert [
            each["path"] for each in repaired.json["problems"] if "cannot be told" in each["problem"]
        ] == ["images/0000/r1-1-0.png"]


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    "begin_anew",
    [
        lambda out: shutil.rmtree(out),
        lambda out: [path.unlink() for path in out.rglob("*") if path.is_file()],
    ],
)
def test_a_folder_that_was_emptied_begins_anew(command: CommandLine, begin_anew: Change) -> None:
    with served_job(command, "--latency", "0", rows=2) as job:
        assert job.run().code == 0
        begin_anew(command.cwd / "out")
        assert job.run().code == 0
        assert set(job.sent().values()) == {2}


def test_a_job_file_of_the_users_own_is_no_trace_of_a_run(command: CommandLine) -> None:
    (command.cwd / "out").mkdir()
    (command.cwd / "prompts.csv").write_text("prompt\na fox\n")
    (command.cwd / "out/job.toml").write_text('manifest = "../prompts.csv"\nout = "out"\nsimulate = true\n')
    assert command("run", "out/job.toml", "-q", "--set", "simulator.latency=0").code == 0
