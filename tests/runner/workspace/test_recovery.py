"""What a run could not put in its place is put there by the next, before it sends anything, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.artifacts.spool import Spool, spool_files
from runner.ledger import attempt_log
from runner.ledger.reader import connection_of
from runner.workspace.folder import open_workspace
from schemas.errors import ExitCode, JobError
from schemas.job import Job
from schemas.outcome import Link, Reported, Unfetched
from tests.attacks.faults.pictures import HTML, picture
from tests.support.ledgers import LedgerFolder, rows_of
from tests.support.manifests import prompts, row_stream
from tests.support.rights import ordinary

JOB = Job.model_validate({"manifest": "prompts.csv"})
REPORTED = [1_700_000_000, "req_1", None, 3, 4, 0.07]
LINE = "SELECT status, kind, maybe_billed, cost_usd, request_id FROM outcomes ORDER BY attempt"


@contextmanager
def spooling(
    out: Path, *parts: tuple[int, int, bytes], n: int = 1, spooled: bool = True
) -> Iterator[LedgerFolder]:
    """A folder whose first rows are in flight, with these (attempt, image, bytes) in a spool file."""
    rows = rows_of(row_stream([{**record, "n": str(n)} for record in prompts("a", "b")]))
    with LedgerFolder(out) as dead:
        for row in rows[: 1 + max(attempt for attempt, _, _ in parts)]:
            dead.intent(row)
        spool = Spool(dead.folder)
        for attempt, image, data in parts:
            note = {"attempt": attempt, "image": image, "reported": REPORTED, "revised_prompt": "a red fox"}
            is_body = not data.startswith(b"\x89PNG")
            spool.add(attempt, "x", (data,), {**note, "is_body": is_body, "message": "no list `data`"})
            if spooled:
                dead.connection.execute("INSERT OR IGNORE INTO spooled VALUES (?, 'x')", (attempt,))
        spool.close()
        yield dead


def told(out: Path, query: str = LINE) -> list[tuple[object, ...]]:
    """What the ledger says once the folder has been opened."""
    with open_workspace(out, JOB) as place:
        return connection_of(place.ledger).execute(query).fetchall()


def test_a_spooled_image_succeeds_with_all_that_was_said_beside_it(tmp_path: Path) -> None:
    with spooling(tmp_path, (0, 0, picture("a")), (1, 0, picture("b"))):
        pass
    assert told(tmp_path) == [("succeeded", None, 0, 0.07, "req_1")] * 2
    assert told(tmp_path, "SELECT file_name, revised_prompt FROM images ORDER BY attempt") == [
        ("images/0000/r0-0-0.png", "a red fox"),
        ("images/0000/r1-1-0.png", "a red fox"),
    ]
    assert (tmp_path / "images/0000/r1-1-0.png").read_bytes() == picture("b")
    assert spool_files(tmp_path) == []


def test_a_spooled_body_fails_its_row_and_is_quarantined(tmp_path: Path) -> None:
    with spooling(tmp_path, (0, 0, HTML)):
        pass
    assert told(tmp_path) == [("failed", "bad_content", 1, None, "req_1")]
    assert told(tmp_path, "SELECT message, quarantined FROM outcomes") == [
        ("no list `data`", "quarantine/r0-0.body")
    ]
    assert (tmp_path / "quarantine/r0-0.body").read_bytes() == HTML
    assert spool_files(tmp_path) == []


def test_an_answer_whose_other_image_was_saved_is_whole(tmp_path: Path) -> None:
    with spooling(tmp_path, (0, 1, picture("a", 1)), n=2) as dead:
        dead.folder.save("images/0000/r0-0-0.png", (picture("a", 0),))
    assert told(tmp_path, "SELECT idx FROM images ORDER BY idx") == [(0,), (1,)]
    assert told(tmp_path, "SELECT idx FROM missing") == []


def test_an_answer_that_lacked_an_image_lacks_it_still(tmp_path: Path) -> None:
    with spooling(tmp_path, (0, 1, picture("a", 1)), n=2):
        pass
    assert told(tmp_path, "SELECT idx FROM images") == [(1,)]
    assert told(tmp_path, "SELECT idx, kind FROM missing") == [(0, "bad_content")]


def test_a_kill_between_two_images_of_an_answer_parks_it_and_keeps_what_was_spooled(tmp_path: Path) -> None:
    """Whether the other one was good, nobody knows."""
    with spooling(tmp_path, (0, 1, picture("a", 1)), n=2, spooled=False):
        pass
    assert [line[:2] for line in told(tmp_path)] == [("parked", "interrupted")]
    assert len(spool_files(tmp_path)) == 1


def test_a_place_that_still_refuses_stops_the_run_before_it_sends_and_nothing_is_lost(tmp_path: Path) -> None:
    with spooling(tmp_path, (0, 0, picture("a"))) as dead:
        dead.folder.make("images/0000")
    (tmp_path / "images/0000").chmod(0o555)
    with pytest.raises(JobError) as error, ordinary(), open_workspace(tmp_path, JOB):
        pass
    assert (error.value.exit_code, "Permission denied" in error.value.message) == (ExitCode.USAGE, True)
    assert str(tmp_path / "images/0000") in error.value.message
    (tmp_path / "images/0000").chmod(0o755)
    assert told(tmp_path) == [("succeeded", None, 0, 0.07, "req_1")]


def test_a_kill_while_a_spool_file_is_taken_in_is_made_good(tmp_path: Path) -> None:
    """The image may stand, the outcome may be recorded, and the spool file be there still."""
    with spooling(tmp_path, (0, 0, picture("a"))) as dead:
        dead.folder.save("images/0000/r0-0-0.png", (picture("a"),))
    path = spool_files(tmp_path)[0]
    data = path.read_bytes()
    assert told(tmp_path) == [("succeeded", None, 0, 0.07, "req_1")]
    path.write_bytes(data)
    assert told(tmp_path) == [("succeeded", None, 0, 0.07, "req_1")]
    assert spool_files(tmp_path) == []
    assert [file.name for file in (tmp_path / "images/0000").iterdir()] == ["r0-0-0.png"]


@pytest.mark.parametrize("on_disk", [(0,), (1,), (0, 1), ()])
def test_of_images_behind_urls_those_on_disk_are_taken_in_and_the_others_stay_to_be_fetched(
    tmp_path: Path, on_disk: tuple[int, ...]
) -> None:
    """G2. The kill came after some were saved, and before the outcome was recorded."""
    links = tuple(Link(at, f"https://x/{at}.png?sig=s") for at in range(2))
    waits = Unfetched(links, 2, 0, 200, Reported(request_id="req_1", cost_usd=0.07), 5)
    with LedgerFolder(tmp_path) as dead:
        (row,) = rows_of(row_stream([{"id": "r0", "prompt": "a", "n": "2"}]))
        dead.ledger.record(attempt_log.accepted_task(dead.intent(row), waits, 5))
        for at in on_disk:
            dead.folder.save(f"images/0000/r0-0-{at}.png", (picture("a", at),))
    expected = [("succeeded", None, 0, 0.07, "req_1")] if on_disk else []
    assert told(tmp_path) == expected
    assert told(tmp_path, "SELECT idx FROM images") == [(at,) for at in on_disk]
    assert told(tmp_path, "SELECT * FROM missing") == []
    with open_workspace(tmp_path, JOB) as place:
        left = [link.position for task in place.ledger.open_tasks() for link in task.task.links]  # type: ignore[union-attr]
    assert left == [at for at in range(2) if at not in on_disk]
