"""`verify` finds whatever was done to a folder, and repairs what costs nothing (G16); nothing that it finds is ever lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.app import use_cases
from schemas.errors import JobError
from tests.attacks.campaigns.verify_bytes import ROWS, finished_job, missed
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Service
from tests.support.servedjob import ServedJob
from tests.support.waiting import until

Problems = dict[str, str]
"""Path -> what is wrong with it."""

FOX = "images/0000/row-3-3-0.png"
HARE = "images/0000/row-4-4-0.png"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished job. Do not change it."""
    return finished_job(CommandLine(tmp_path_factory.mktemp("finished")))


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def found(out: Path) -> Problems:
    """What `verify` finds."""
    return {problem.path: problem.problem for problem in use_cases.verify_folder(out).problems}


def noted(out: Path) -> Problems:
    """What it notes that is no damage."""
    return {note.path: note.problem for note in use_cases.verify_folder(out).notes}


def repaired(out: Path) -> tuple[Problems, Problems]:
    """What `verify --repair` repairs, and what it leaves."""
    problems = use_cases.verify_folder(out, repair=True).problems
    good, bad = ({p.path: p.problem for p in problems if p.repaired is done} for done in (True, False))
    return good, bad


def content(out: Path) -> dict[str, bytes]:
    """Every file that a repair may be about."""
    names = [path for top in ("images", "quarantine") for path in (out / top).rglob("*") if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in (*names, out / "results.parquet")}


def test_a_finished_folder_is_as_the_ledger_says(out: Path) -> None:
    before = content(out)
    seen = use_cases.verify_folder(out)
    assert (seen.problems, seen.checked) == ([], ROWS + 2)
    assert repaired(out) == ({}, {})
    assert content(out) == before


def test_200_single_byte_changes(out: Path) -> None:
    assert missed(out, 200, seed=3) == []


@pytest.mark.campaign
def test_1000_single_byte_changes(out: Path) -> None:
    assert missed(out, 1000, seed=4) == []


# Images


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def link(path: Path) -> None:
    """A link to the very same bytes, outside OUT."""
    elsewhere = path.rename(path.parents[3] / "elsewhere.png")
    path.symlink_to(elsewhere)


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (Path.unlink, "missing"),
        (cut, "bytes instead of"),
        (lengthen, "bytes instead of"),
        (lambda path: os.truncate(path, 0), "has 0 bytes instead of"),
        (link, "a symbolic link stands in its place"),
        (become_a_folder, "missing"),
        (become_a_pipe, "missing"),
    ],
)
def test_a_spoiled_image_is_found_and_cannot_be_repaired(
    out: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(out / FOX)
    assert told in found(out)[FOX]
    good, bad = repaired(out)
    assert (good, [*bad]) == ({}, [FOX])


def test_images_on_another_disk_are_as_good_and_no_other_link_is(out: Path) -> None:
    for name in ("images", "images/0000"):
        (out / name).rename(out.parent / "elsewhere")
        (out / name).symlink_to(out.parent / "elsewhere")
        told = {} if name == "images" else {name: "a symbolic link stands in place of a folder"}
        assert found(out) == told
        (out / name).unlink()
        (out.parent / "elsewhere").rename(out / name)


def test_what_a_kill_left_unfinished_is_found_wherever_it_is(out: Path) -> None:
    left = [".tmp/a.0123", "images/.tmp/b.4567", "images/0000/.trial", "quarantine/.trial", ".trial"]
    for name in left:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"x")
    assert (found(out), sorted(noted(out))) == ({}, sorted(left))
    assert repaired(out)[1] == {}
    assert (found(out), noted(out)) == ({}, {})
    assert not any((out / name).exists() for name in left)


def test_every_image_missing(out: Path) -> None:
    shutil.rmtree(out / "images")
    assert len(found(out)) == ROWS
    assert len(repaired(out)[1]) == ROWS


@pytest.mark.parametrize("target", ["images/0000/renamed.png", "images/lost/and/found.bin", "quarantine/x"])
def test_a_moved_image_is_put_back(out: Path, target: str) -> None:
    before = content(out)
    (out / target).parent.mkdir(parents=True, exist_ok=True)
    (out / FOX).rename(out / target)
    assert found(out)[FOX] == f"missing; its bytes are at {target}"
    assert repaired(out) == ({FOX: f"missing; its bytes are at {target}"}, {})
    assert (content(out), found(out)) == (before, {})


def exchange(out: Path, *names: str) -> None:
    """Each gets the bytes of the next one."""
    data = [(out / name).read_bytes() for name in names]
    for name, other in zip(names, (*data[1:], data[0]), strict=True):
        (out / name).write_bytes(other)


def test_images_that_took_each_others_places_go_home(out: Path) -> None:
    before = content(out)
    exchange(out, *(f"images/0000/row-{row}-{row}-0.png" for row in (1, 2, 5)))
    exchange(out, FOX, HARE)
    assert len(found(out)) == 5
    good, bad = repaired(out)
    assert (len(good), bad) == (5, {})
    assert (content(out), found(out)) == (before, {})


def test_the_altered_file_is_kept_each_time_that_its_place_is_taken_back(out: Path) -> None:
    whole = (out / FOX).read_bytes()
    for spoiled in (b"first", b"second", b"third"):
        (out / "images/copy.png").write_bytes(whole)
        (out / FOX).write_bytes(spoiled)
        assert [*repaired(out)[0]] == [FOX]
    kept = {path.name: path.read_bytes() for path in (out / FOX).parent.glob("*altered*")}
    stem = Path(FOX).name
    assert kept == {
        f"{stem}.altered": b"first",
        f"{stem}.altered-2": b"second",
        f"{stem}.altered-3": b"third",
    }
    assert ((out / FOX).read_bytes(), found(out)) == (whole, {})


def test_foreign_files_are_told_and_left_alone(out: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not ours")
    strange = {
        "images/note.txt": b"mine",
        "images/0000/b.png": (out / FOX).read_bytes(),
        "quarantine/c": b"\0",
    }
    for name, data in strange.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(data)
        os.utime(out / name, (1, 1))
    (out / "images/link").symlink_to(tmp_path / "secret")
    os.mkfifo(out / "images/pipe")
    names = {*strange, "images/link", "images/pipe"}
    assert found(out) == dict.fromkeys(names, "not in the ledger: no file of imagemill's")
    assert {*repaired(out)[1]} == names
    assert {name: (out / name).read_bytes() for name in strange} == strange
    assert {(out / name).stat().st_mtime for name in strange} == {1}
    assert (out / "images/link").is_symlink()


def test_what_looks_like_an_earlier_repairs_leaving_but_is_not_one_is_foreign(out: Path) -> None:
    (out / "images/nothing.png.altered").write_bytes(b"x")
    assert [*found(out)] == ["images/nothing.png.altered"]


# The results table


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (Path.unlink, "missing"),
        (cut, "altered: not the bytes that imagemill wrote"),
        (lambda path: path.write_bytes(b""), "altered: not the bytes that imagemill wrote"),
        (lambda path: path.rename(path.with_name("r")) and path.symlink_to("r"), "missing"),
    ],
)
def test_the_results_table_is_written_again_the_same(
    out: Path, spoil: Callable[[Path], object], told: str
) -> None:
    before = content(out)
    spoil(out / "results.parquet")
    assert found(out) == {"results.parquet": told}
    assert repaired(out) == ({"results.parquet": told}, {})
    assert (content(out), found(out)) == (before, {})
    assert not (out / "results.parquet").is_symlink()


def edit(out: Path, *statements: str) -> None:
    """Change the ledger behind imagemill's back."""
    with sqlite3.connect(out / "ledger.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_table_that_the_ledger_has_overtaken(out: Path) -> None:
    edit(out, "UPDATE outcomes SET latency_s = 99 WHERE attempt = 3")
    assert found(out) == {"results.parquet": "not what manifest and ledger say now"}
    assert [*repaired(out)[0]] == ["results.parquet"]
    assert found(out) == {}


def test_a_folder_whose_manifest_is_gone_or_was_edited_since_is_no_damage(
    command: CommandLine,
) -> None:
    out = finished_job(command)
    manifest = Path(tomllib.loads((out / "job.toml").read_text())["manifest"])
    manifest.write_text(manifest.read_text() + "another,a new picture\n")
    os.utime(manifest, (time.time() + 5, time.time() + 5))
    assert found(out) == {}
    manifest.unlink()
    assert found(out) == {}
    image = next(path for path in (out / "images").rglob("*") if path.is_file())
    image.write_bytes(image.read_bytes()[:-1])
    assert [*found(out)] == [image.relative_to(out).as_posix()]
    (out / "results.parquet").write_bytes(b"x")
    assert len(found(out)) == 2


# What a kill leaves


def test_an_image_whose_outcome_was_not_recorded_is_adopted(out: Path) -> None:
    edit(out, "DELETE FROM images WHERE attempt = 3", "DELETE FROM outcomes WHERE attempt = 3")
    (out / ".tmp/row-3.0123456789ab").write_bytes(b"half")
    assert found(out) == {"results.parquet": "not what manifest and ledger say now"}
    assert noted(out) == {
        FOX: "left by a run that was killed; the next run, or --repair, takes it in where it is whole",
        ".tmp/row-3.0123456789ab": "left by a run that was killed",
    }
    assert [*repaired(out)[0]] == ["results.parquet"]
    row = use_cases.status(out).by_status
    assert (row, found(out), [*(out / ".tmp").iterdir()]) == ({"succeeded": ROWS}, {}, [])


def test_what_a_kill_leaves_is_no_damage(out: Path) -> None:
    edit(out, "DELETE FROM run_ends")
    (out / "results.parquet").unlink()
    (out / ".tmp/ballast").write_bytes(b"space")
    assert found(out) == {}
    assert noted(out) == {
        ".tmp/ballast": "left by a run that was killed (disk space that it had set aside)",
        "results.parquet": "missing",
    }
    use_cases.verify_folder(out, repair=True)
    assert (found(out), noted(out)) == ({}, {})


def test_a_table_that_somebody_altered_is_damage_after_a_kill_too(out: Path) -> None:
    edit(out, "DELETE FROM run_ends")
    (out / "results.parquet").write_bytes(b"other")
    assert found(out) == {"results.parquet": "altered: not the bytes that imagemill wrote"}


def test_an_attempt_without_an_image_is_parked_and_not_bought_again(out: Path) -> None:
    edit(out, "DELETE FROM images WHERE attempt = 3", "DELETE FROM outcomes WHERE attempt = 3")
    (out / FOX).unlink()
    repaired(out)
    summary = use_cases.status(out)
    assert (summary.by_status, summary.requests_sent) == ({"succeeded": ROWS - 1, "parked": 1}, ROWS)


def test_what_an_undecided_attempt_left_is_kept_and_is_no_damage(out: Path) -> None:
    """One of two images, and a body: paid for, on disk, and not recorded when the kill came."""
    forget = ("DELETE FROM images WHERE attempt IN (3, 4)", "DELETE FROM outcomes WHERE attempt IN (3, 4)")
    edit(out, *forget, "UPDATE attempts SET n = 2 WHERE attempt = 3")
    (out / "quarantine").mkdir(exist_ok=True)
    body = (out / HARE).rename(out / "quarantine/row-4-4.body")
    assert ({*found(out)}, {*noted(out)}) == ({"results.parquet"}, {FOX, "quarantine/row-4-4.body"})
    assert [*repaired(out)[0]] == ["results.parquet"]
    assert use_cases.status(out).by_status == {"succeeded": ROWS - 2, "parked": 2}
    assert (found(out), (out / FOX).is_file(), body.is_file()) == ({}, True, True)


@pytest.mark.parametrize(
    "name", ["images/0000/row-3-3-1.png", "images/0000/row-9-3-0.png", "images/3-3-0.png"]
)
def test_a_name_like_ours_makes_no_file_ours(out: Path, name: str) -> None:
    (out / name).write_bytes(b"x")
    assert found(out) == {name: "not in the ledger: no file of imagemill's"}


# A damaged ledger


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM outcomes WHERE attempt = 2", "attempt 2 has an image and no success"),
        ("DELETE FROM images WHERE attempt = 2", "attempt 2 is a success without an image"),
        ("DELETE FROM attempts WHERE attempt = 2", "attempt 2 has an outcome and no intent"),
        ("INSERT INTO tasks VALUES (99, 't', NULL, 1)", "attempt 99 has a task and no intent"),
        ("DELETE FROM items WHERE item = 2", "attempt 2 has no row"),
        ("DELETE FROM params", "attempt 0 has no parameters"),
        ("DELETE FROM runs", "attempt 0 has no run"),
        ("UPDATE outcomes SET status = 'done' WHERE attempt = 2", "attempt 2 has an unknown outcome"),
        ("UPDATE outcomes SET kind = 'x' WHERE attempt = 2", "attempt 2 has an unknown outcome"),
        ("UPDATE outcomes SET flags = '[' WHERE attempt = 2", "attempt 2 has flags that are no JSON"),
        ("UPDATE params SET body = '{'", "parameters 1 are no JSON"),
        ("UPDATE items SET fingerprint = 'x' WHERE item = 2", "row 2 has no whole fingerprint"),
        ("UPDATE images SET sha256 = x'00' WHERE attempt = 2", "attempt 2 has no whole digest"),
        ("UPDATE items SET prompt = 'zzz' WHERE item = 2", "row 2 was changed"),
        ("UPDATE items SET row_id = row_id || ' ' WHERE item = 2", "row 2 was changed"),
        ("UPDATE params SET body = '{\"seed\":1}'", "parameters 1 were changed"),
        ("ALTER TABLE outcomes RENAME COLUMN kind TO sort", "its tables are not laid out as they were made"),
    ],
)
def test_a_ledger_that_contradicts_itself(out: Path, statement: str, told: str) -> None:
    edit(out, statement)
    assert told in [problem.problem for problem in use_cases.verify_folder(out).problems]


def overwrite(path: Path, start: int, stop: int | None) -> None:
    data = bytearray(path.read_bytes())
    places = range(start, len(data))[: None if stop is None else stop - start]
    data[places.start : places.stop] = b"\xa5" * len(places)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 100), (100, 4096), (4096, 8192), (8192, None), (4096, None), (0, None)]
)
def test_a_ledger_with_overwritten_pages_is_damaged_for_every_command(
    out: Path, start: int, stop: int | None
) -> None:
    overwrite(out / "ledger.sqlite", start, stop)
    before = content(out)
    try:
        assert {problem.path for problem in use_cases.verify_folder(out).problems} == {"ledger.sqlite"}
    except JobError as error:
        assert error.exit_code == 7
    for call in (use_cases.status, lambda path: use_cases.verify_folder(path, repair=True)):
        with pytest.raises(JobError) as refused:
            call(out)
        assert refused.value.exit_code == 7
    assert content(out) == before


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: os.truncate(path, 0)])
def test_images_without_a_ledger_are_not_started_over(out: Path, lose: Callable[[Path], None]) -> None:
    before = content(out)
    lose(out / "ledger.sqlite")
    with pytest.raises(JobError) as raised:
        use_cases.verify_folder(out)
    assert raised.value.exit_code == 7
    good, bad = repaired(out)
    assert ([*good], bad) == (["ledger.sqlite", "results.parquet"], {})
    assert content(out).keys() == before.keys()
    assert found(out) == {}


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: os.truncate(path, 0)])
def test_a_ledger_that_is_gone_stays_so_without_the_manifest(out: Path, lose: Callable[[Path], None]) -> None:
    """Only the rows tell what the files are of."""
    lose(out / "ledger.sqlite")
    job = (out / "job.toml").read_text()
    (out / "job.toml").write_text(job.replace("prompts.csv", "elsewhere.csv"))
    for _ in range(2):
        with pytest.raises(JobError) as raised:
            use_cases.verify_folder(out, repair=True)
        assert raised.value.exit_code == 7


# The command


def test_exit_codes_and_what_is_printed(command: CommandLine, out: Path) -> None:
    whole = command("verify", out, "--json")
    found = {name: whole.json[name] for name in ("checked", "problems", "notes", "repaired")}
    assert (whole.code, found) == (0, {"checked": ROWS + 2, "problems": [], "notes": [], "repaired": 0})
    (out / FOX).unlink()
    (out / "results.parquet").unlink()
    facts = [{"path": FOX, "problem": "missing"}, {"path": "results.parquet", "problem": "missing"}]
    told = command("verify", out, "--json")
    found = {name: told.json[name] for name in ("checked", "notes", "repaired")}
    assert (told.code, found) == (7, {"checked": ROWS + 2, "notes": [], "repaired": 0})
    assert [{name: each[name] for name in ("path", "problem")} for each in told.json["problems"]] == facts
    mended = command("verify", out, "--repair")
    assert mended.code == 7
    assert mended.out.splitlines() == [
        f"checked   {ROWS + 2} files and tables",
        f"problem   {FOX}: missing",
        "repaired  results.parquet: missing",
        "verdict   1 problem left",
        f"next      imagemill retry {out} --missing --dry-run",
    ]
    assert command("verify", "nowhere").code == 2


def test_a_run_at_work_is_no_damage_and_is_not_repaired_under_its_hands(command: CommandLine) -> None:
    rows = "".join(f"picture {number}\n" for number in range(60))
    (command.cwd / "prompts.txt").write_text(rows)
    with Service(command, "--latency", "0.2") as service:
        run = ("run", "prompts.txt", "--base-url", service.base_url, "--size", "64x64", "--out", "out")
        process = command.start(*run, "--concurrency", "2", environ=WITH_CANARY)
        until(lambda: int(service.stats()["requests"]) >= 6)
        beside = command("verify", "out", "--json")
        assert (beside.code, beside.json["problems"]) == (0, [])
        assert command("verify", "out", "--repair").code == 6
        assert process.poll() is None
        assert process.communicate(timeout=60)[0]
        assert process.returncode == 0


def test_a_repair_pays_nothing_and_needs_no_key(command: CommandLine) -> None:
    """A missing image, a parked row, and a service that would charge: none of it is sent for."""
    (command.cwd / "prompts.csv").write_text("id,prompt\na,a fox\nb,a cut gem\nc,a hare\n")
    (command.cwd / "cut.toml").write_text('[[fault]]\nmatch = "cut"\nkind = "truncate"\n')
    with Service(command, "--latency", "0", "--scenario", str(command.cwd / "cut.toml")) as service:
        job = ServedJob(command, service, 3)
        assert job.run().code == 3
        sent = service.stats()["requests"]
        (command.cwd / "out/images/0000/a-0-0.png").unlink()
        (command.cwd / "out/results.parquet").unlink()
        mended = command("verify", "out", "--repair", "--json")
        assert (mended.code, mended.json["repaired"], len(mended.json["problems"])) == (7, 1, 2)
        assert job.run().code == 7  # its image is gone
        assert service.stats()["requests"] == sent == 3
    assert [row["status"] for row in command.results("out")] == ["succeeded", "parked", "succeeded"]
