"""Building reports: what is drawn again, what an older report keeps, and folders of every state."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from runner.reports.build import ReportRequest, build_report
from runner.reports.thumbnails import Thumbnails
from schemas.errors import JobError
from tests.support.commandline import AT_ONCE, CommandLine

MANIFEST = "id,prompt\n" + "".join(f"r{number:02},a picture of {number}\n" for number in range(30))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `out` of 30 images, made from `m.csv` beside it."""
    home = tmp_path_factory.mktemp("finished")
    (home / "m.csv").write_text(MANIFEST)
    ended = CommandLine(home)("run", "m.csv", "--out", "out", "--simulate", *AT_ONCE)
    assert ended.code == 0, ended.err
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def _files(page: Path) -> Path:
    """The folder that a page reads."""
    found = re.search(r"files-[0-9a-f]{12}", page.read_text("utf-8"))
    assert found is not None
    return page.parent / found.group()


def _state(folder: Path) -> dict[str, bytes]:
    """Every file with its bytes, but for the report's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and "report" not in path.relative_to(folder).parts
        and not path.name.endswith(("-shm", "-wal"))  # SQLite's, also of whoever only reads
    }


def test_a_second_report_draws_only_what_is_new(home: Path) -> None:
    out = home / "out"
    built = build_report(ReportRequest([out]))
    assert (built.rows, built.images, built.failures) == (30, 30, 0)
    sheets = {path: path.stat().st_mtime_ns for path in (out / "report/thumbs").glob("*.jpg")}
    assert len(sheets) == 2  # 25 images on a sheet
    with (home / "m.csv").open("a") as manifest:
        manifest.write("late,one more picture\n")
    assert CommandLine(home)("run", "m.csv", "--out", "out", "--simulate", *AT_ONCE).code == 0
    told: list[str] = []
    assert build_report(ReportRequest([out]), told.append).images == 31
    assert "1 thumbnails drawn" in told
    later = {path: path.stat().st_mtime_ns for path in (out / "report/thumbs").glob("*.jpg")}
    assert len(later) == 3
    assert {path: later[path] for path in sheets} == sheets
    assert len(Thumbnails.open(out / "report/thumbs").known) == 31


def test_the_folder_is_only_read(home: Path) -> None:
    before = _state(home / "out")
    build_report(ReportRequest([home / "out"], png=True))
    build_report(ReportRequest([home / "out"], single_file=True))
    assert _state(home / "out") == before
    assert CommandLine(home)("verify", "out").code == 0


def test_a_report_that_fails_leaves_the_older_one_whole(home: Path) -> None:
    out = home / "out"
    page = Path(build_report(ReportRequest([out])).page)
    before, files = page.read_bytes(), sorted(path.name for path in _files(page).iterdir())
    with pytest.raises(JobError):
        build_report(ReportRequest([out], where="no_such_column = 1"))
    assert page.read_bytes() == before
    assert sorted(path.name for path in _files(page).iterdir()) == files
    assert [path.name for path in page.parent.glob("files-*")] == [_files(page).name]


def test_the_files_of_an_open_page_stay_until_the_next_but_one(home: Path) -> None:
    request = ReportRequest([home / "out"])
    first = _files(Path(build_report(request).page))
    second = _files(Path(build_report(request).page))
    assert first.is_dir() and second.is_dir()
    build_report(request)
    assert not first.exists() and second.is_dir()


def test_two_reports_at_once_are_refused(home: Path) -> None:
    (home / "page").mkdir()
    with FileLock(home / "page/.lock"), pytest.raises(JobError) as refused:
        build_report(ReportRequest([home / "out"], dest=home / "page"))
    assert refused.value.exit_code == 6


def test_where_and_sample_choose_rows(home: Path) -> None:
    out = home / "out"
    assert build_report(ReportRequest([out], where="row < 7")).rows == 7
    assert build_report(ReportRequest([out], sample=5, seed=3)).rows == 5


def test_a_damaged_index_of_thumbnails_is_mended(home: Path) -> None:
    out = home / "out"
    build_report(ReportRequest([out]))
    index = out / "report/thumbs/index.csv"
    lines = index.read_text().splitlines()
    index.write_text("\n".join(lines[:10]) + "\nnonsense,1\n" + lines[11][:40])
    (out / "report/thumbs/000001.jpg").unlink()
    build_report(ReportRequest([out]))
    script = next(_files(out / "report/index.html").glob("thumbs-0-0.js")).read_text()
    places = json.loads(script[len("Mill.thumbs(") : script.rindex(")")].split(",", 2)[2])
    assert all(isinstance(place, list) for place in places)
    assert all((out / f"report/thumbs/{place[0]:06}.jpg").is_file() for place in places)


def test_without_a_manifest_and_without_images(home: Path) -> None:
    (home / "m.csv").unlink()
    shutil.rmtree(home / "out/images")
    built = build_report(ReportRequest([home / "out"]))
    assert (built.rows, built.images) == (30, 30)
    script = (_files(Path(built.page)) / "thumbs-0-0.js").read_text()
    assert script.count('"missing"') == 30


def test_too_many_images_for_a_single_file_and_a_folder_that_is_none(home: Path, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="not an imagemill folder"):
        build_report(ReportRequest([tmp_path]))
    built = build_report(ReportRequest([home / "out"], single_file=True, dest=tmp_path / "a.html"))
    assert built.page == str(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text().count("data:image/jpeg;base64,") == 30


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_told(home: Path) -> None:
    (home / "shut").mkdir(mode=0o500)
    with pytest.raises(JobError):
        build_report(ReportRequest([home / "out"], dest=home / "shut/page"))


def test_a_report_of_a_run_that_goes_on(home: Path) -> None:
    command = CommandLine(home)
    process = command.start(
        "run", "m.csv", "--out", "live", "--simulate", "--set", "simulator.latency=1", "--ipm", "60"
    )
    try:
        assert process.stdout is not None
        while not list((home / "live").glob("images/*/*.png")):
            assert process.poll() is None
        built = build_report(ReportRequest([home / "live"]))
    finally:
        process.kill()
        process.communicate()
    assert built.rows == 30
    head = (_files(Path(built.page)) / "head.js").read_text()
    assert '"live":true' in head
    assert build_report(ReportRequest([home / "live"])).rows == 30  # killed by now
