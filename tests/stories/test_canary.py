"""The search for the canary key finds it in every form; and a user's day with it leaves it nowhere (G14)."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.canary import CANARY, WITH_CANARY, files_with_canary, is_in
from tests.support.commandline import CommandLine, Service

KEY = CANARY.encode()


@pytest.mark.parametrize(
    "data",
    [
        KEY,
        b"Authorization: Bearer " + KEY + b"\r\n",
        quote(f"?key={CANARY}&x=1", safe="").encode(),
        KEY.hex().encode(),
        KEY.upper(),
        *(base64.b64encode(b"x" * before + KEY + b"y" * after) for before in range(3) for after in range(3)),
        base64.urlsafe_b64encode(b'{"key": "' + KEY + b'"}'),
        CANARY.encode("utf-16-le"),
        KEY[:14],
    ],
)
def test_it_is_found_in_every_form(data: bytes) -> None:
    assert is_in(b"before " + data + b" after")


@pytest.fixture
def leaking(tmp_path: Path) -> Iterator[Path]:
    """A folder for files with the key in them, gone before the session's own search."""
    folder = tmp_path / "leaking"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_it_is_found_inside_compressed_tables_and_not_elsewhere(leaking: Path) -> None:
    told = [f"{row * 7919 % 1000} said Bearer {CANARY}" for row in range(1000)]
    table, ours = pa.table({"message": told}), leaking / "results.parquet"
    pq.write_table(table, ours, compression="zstd", use_dictionary=False, write_statistics=False)
    assert KEY not in ours.read_bytes()
    (leaking / "source.py").write_bytes(KEY)
    (leaking / "other").mkdir()
    (leaking / "other" / "results.parquet").write_bytes(b"PAR1 and no more")
    pq.write_table(pa.table({"message": ["sk-can… is no key"]}), leaking / "other.parquet")
    assert files_with_canary(leaking) == (3, [ours])


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("tmp_path.joinpath('run.log').write_text('nothing')", 0, "canary key: in 0 of 1 files"),
        ("tmp_path.joinpath('run.log').write_text(CANARY)", 1, "canary key: in 1 of 1 files"),
        ("run([executable, '-c', 'import sys; print(sys.stdin.read())'], input=KEY)", 1, "in the output of"),
        ("run([executable, '-c', 'print(1)'], input=KEY)", 0, "canary key: in 0 of 0 files"),
    ],
)
def test_the_session_fails_where_it_shows(
    leaking: Path, checkout: Path, body: str, code: int, told: str
) -> None:
    text = f"""
        from subprocess import PIPE, run as start
        from sys import executable
        from tests.support.canary import CANARY
        KEY = CANARY.encode()

        def run(command, **named):
            start(command, stdout=PIPE, check=True, **named)

        def test(tmp_path):
            {body}
    """
    (leaking / "test_one.py").write_text(textwrap.dedent(text))
    options = (
        "-p",
        "tests.support.canary",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(leaking / "kept"),
        "-q",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(leaking), str(leaking)],
        cwd=checkout,
        stdout=(leaking / "session.txt").open("wb"),
        check=False,
    )
    assert (done.returncode, told in (leaking / "session.txt").read_text()) == (code, True)


SCENARIO = """
latency = { median = 0.0 }
[[fault]]
match = "echo"
kind = "echo_key"
[[fault]]
match = "broken"
kind = "bad_json"
[[fault]]
match = "cut"
kind = "truncate"
[[fault]]
match = "revoked"
kind = "auth"
message = "Incorrect API key provided: KEY (Authorization: Bearer KEY)"
"""
PROMPTS = ("a fox", "an echo", "a broken vase", "a cut gem", "a hare [[refuse]]")


def every_command(base_url: str) -> Iterator[tuple[str, ...]]:
    """Arguments that reach every place where a key could be written."""
    run = ("run", "prompts.csv", "--base-url", base_url, "--size", "64x64", "--out", "out", "-vv")
    yield ("plan", *run[1:])
    yield (*run, "--log-format", "json", "--json")
    yield (*run, "--progress", "plain")
    yield ("retry", "out", "--parked", "-vv")
    yield ("retry", "out", "--error", "moderation", "--json")
    yield ("status", "out", "-vv")
    yield ("verify", "out", "--json")
    yield ("verify", "out", "--repair", "-v")
    yield ("doctor", "out/job.toml", "-vv")
    yield ("run", "revoked.csv", "--base-url", base_url, "--out", "revoked", "-vv")
    yield (
        "run",
        "prompts.csv",
        "--base-url",
        "http://127.0.0.1:9/v1",
        "--give-up",
        "1s",
        "--out",
        "down",
        "-v",
    )
    yield ("run", "prompts.csv", "--base-url", base_url, "--set", f"endpoint.api_key={CANARY}")


def test_a_day_with_the_key_leaves_it_nowhere(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("prompt\n" + "\n".join(PROMPTS))
    (tmp_path / "revoked.csv").write_text("prompt\na revoked key\n")
    (tmp_path / "faults.toml").write_text(SCENARIO.replace("KEY", CANARY))
    with Service(command, "--scenario", str(tmp_path / "faults.toml")) as service:
        for number, arguments in enumerate(every_command(service.base_url)):
            ended = command(*arguments, environ=WITH_CANARY)
            assert not is_in((ended.out + ended.err).encode())
            (tmp_path / f"{number}.output").write_text(ended.out + ended.err)
    (tmp_path / "faults.toml").unlink()
    count, found = files_with_canary(tmp_path)
    assert (found, count > 30) == ([], True)
    kinds = {row["error_kind"] for row in command.results("out")}
    assert kinds == {None, "bad_content", "truncated", "moderation"}
    assert "[redacted]" in command.results("revoked")[0]["error_message"]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "out/quarantine").iterdir())
    assert b"Bearer [redacted]" in kept
