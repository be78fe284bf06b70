"""`retry --reread`: paid answers in quarantine are looked at again by the rules of today, for free."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from runner.app.reread import reread_folder
from tests.attacks.faults.pictures import picture
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Service


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def state(out: Path) -> dict[str, str]:
    """Every file but the ledger's, and its digest."""
    return {
        path.relative_to(out).as_posix(): sha(path)
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith(("ledger", ".lock"))
    }


def lose(out: Path, *bodies: bytes, kind: str = "bad_content", status: str = "failed") -> None:
    """Let the first answers have been given up: their images are gone, and these bodies are in quarantine."""
    with closing(sqlite3.connect(out / "ledger.sqlite")) as ledger, ledger:
        for attempt, body in enumerate(bodies):
            (name,) = ledger.execute("SELECT file_name FROM images WHERE attempt = ?", (attempt,)).fetchone()
            (out / name).unlink()
            kept = f"quarantine/r-{attempt}.body"
            (out / "quarantine").mkdir(exist_ok=True)
            (out / kept).write_bytes(body)
            ledger.execute("DELETE FROM images WHERE attempt = ?", (attempt,))
            ledger.execute(
                "UPDATE outcomes SET status = ?, kind = ?, message = 'no', maybe_billed = 1, quarantined = ? "
                "WHERE attempt = ?",
                (status, kind, kept, attempt),
            )
            digest = hashlib.sha256(body).digest()
            ledger.execute("INSERT INTO bodies VALUES (?,?,?)", (kept, len(body), digest))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def made(command: CommandLine, *fields: str, rows: int = 3) -> Path:
    """A finished folder."""
    header = ",".join(("id", "prompt", *(field.partition("=")[0] for field in fields)))
    values = "".join(f",{field.partition('=')[2]}" for field in fields)
    lines = "".join(f"r{row},a fox {row}{values}\n" for row in range(rows))
    (command.cwd / "prompts.csv").write_text(f"{header}\n{lines}")
    with Service(command, "--latency", "0") as service:
        arguments = ("prompts.csv", "--base-url", service.base_url, "--price", "0.04", "--out", "out", "-q")
        assert command("run", *arguments, environ=WITH_CANARY).code == 0
    return command.cwd / "out"


def test_an_answer_that_can_be_read_today_succeeds_and_costs_nothing(command: CommandLine) -> None:
    out = made(command)
    answer = json.dumps({"data": [{"b64_json": b64(picture("a"))}]}).encode()
    lose(out, answer, b"no image at all", kind="gateway", status="parked")
    found = command("retry", "out", "--reread", "--json")
    assert found.code == 3
    assert found.json["by_status"] == {"succeeded": 2, "parked": 1}
    assert any("1 image was found" in warning["message"] for warning in found.json["warnings"])
    assert (found.json["folder"]["maybe_billed"], found.json["folder"]["requests_sent"]) == (1, 3)
    first, *_ = rows = command.results("out")
    assert (first["status"], first["sha256"]) == ("succeeded", hashlib.sha256(picture("a")).hexdigest())
    assert (out / first["file_name"]).read_bytes() == picture("a")
    assert first["flags"] is not None
    assert "reread" in first["flags"]
    assert first["error_kind"] is None
    assert (rows[1]["status"], rows[1]["error_kind"]) == ("parked", "gateway")
    assert [path.name for path in (out / "quarantine").iterdir()] == ["r-1.body"]
    assert command("verify", "out").code == 0
    assert command("status", "out", "--json").json["by_status"] == {"succeeded": 2, "parked": 1}

    before = state(out)
    again = command("retry", "out", "--reread", "--json")
    assert (again.code, state(out)) == (0, before)
    assert "nothing new is found in 1 body" in again.json["exit_reason"]


def test_a_larger_limit_lets_an_image_through_that_was_refused(command: CommandLine) -> None:
    """What was fetched from a URL is in quarantine as it came."""
    out = made(command, rows=1)
    lose(out, picture("a"))
    job = out / "job.toml"
    whole = job.read_text()
    job.write_text(f"{whole}\n[output]\nmax_pixels = 4\n")
    assert command("retry", "out", "--reread", "--json").json["by_status"] == {"failed": 1}
    job.write_text(whole)
    assert command("retry", "out", "--reread", "--json").json["by_status"] == {"succeeded": 1}
    assert list((out / "quarantine").iterdir()) == []


def test_of_several_images_the_whole_ones_are_taken_and_the_body_stays(command: CommandLine) -> None:
    out = made(command, "n=2", rows=1)
    with closing(sqlite3.connect(out / "ledger.sqlite")) as ledger, ledger:
        for (name,) in ledger.execute("SELECT file_name FROM images WHERE idx = 1").fetchall():
            (out / name).unlink()
        ledger.execute("DELETE FROM images WHERE idx = 1")
    lose(out, json.dumps({"data": [{"b64_json": b64(b"no")}, {"b64_json": b64(picture("b"))}]}).encode())
    assert command("retry", "out", "--reread", "--json").json["by_status"] == {"succeeded": 1, "failed": 1}
    assert [row["status"] for row in command.results("out")] == ["failed", "succeeded"]
    assert len(list((out / "quarantine").iterdir())) == 1
    assert command("verify", "out").code == 0


def test_it_takes_no_option_that_sends(command: CommandLine) -> None:
    made(command, rows=1)
    refused = command("retry", "out", "--reread", "--parked", "--model", "m")
    assert refused.code == 2
    assert "--parked" in refused.err
    assert "--model" in refused.err


_KILLED = """
import os, signal, sys
from pathlib import Path
from runner.app.reread import reread_folder
from runner.process import crash_points

crash_points.listen(lambda name: name == sys.argv[1] and os.kill(os.getpid(), signal.SIGKILL))
reread_folder(Path(sys.argv[2]))
"""


def killed_at(point: str, out: Path) -> None:
    """Look again, and be killed at this moment."""
    ended = subprocess.run([sys.executable, "-c", _KILLED, point, str(out)], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("point", ["reread, before", "reread, after"])
def test_a_kill_at_any_moment_loses_nothing_and_the_next_call_goes_on(
    command: CommandLine, point: str
) -> None:
    """G2, G8."""
    out = made(command)
    bodies = [json.dumps({"data": [{"b64_json": b64(picture(str(row)))}]}).encode() for row in range(3)]
    lose(out, *bodies)
    killed_at(point, out)
    left = {path.name for path in (out / "quarantine").iterdir()}
    assert left == {"r-0.body", "r-1.body", "r-2.body"}
    assert reread_folder(out).by_status == {"succeeded": 3}
    assert list((out / "quarantine").iterdir()) == []
    digests = {row["sha256"] for row in command.results("out")}
    assert digests == {hashlib.sha256(picture(str(row))).hexdigest() for row in range(3)}
    images = [path for path in (out / "images").rglob("*") if path.is_file()]
    assert len(images) == 3
    assert command("verify", "out").code == 0
