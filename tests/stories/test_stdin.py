"""A manifest from stdin: its rows are kept in the folder, so that every later command finds them."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.commandline import AT_ONCE, COMMAND, CommandLine, Ended


def piped(command: CommandLine, data: bytes, *arguments: str) -> Ended:
    """The command with this on its stdin."""
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=command.cwd,
        env=command.environ(),
        input=data,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": ["a", "b"], "prompt": ["a fox, in snow", "a hare"]}), buffer)
    return buffer.getvalue()


FORMS = {
    "csv": b'id,prompt\na,"a fox, in snow"\nb,a hare\n',
    "tsv": b"id\tprompt\na\ta fox, in snow\nb\ta hare\n",
    "jsonl": b'{"id": "a", "prompt": "a fox, in snow"}\n{"id": "b", "prompt": "a hare"}\n',
    "json": b'[{"id": "a", "prompt": "a fox, in snow"}, {"id": "b", "prompt": "a hare"}]',
    "txt": b"a fox, in snow\n\na hare\n",
    "parquet": parquet(),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_from_stdin_are_known_by_their_content_and_kept(command: CommandLine, form: str) -> None:
    ran = piped(command, FORMS[form], "run", "-", "--simulate", "--out", "out", *AT_ONCE, "--json")
    assert (ran.code, ran.json["rows"]) == (0, 2), ran.err
    assert (command.cwd / "out" / f"manifest.{form}").read_bytes() == FORMS[form]
    assert [row["prompt"] for row in command.results("out")] == ["a fox, in snow", "a hare"]
    before = (command.cwd / "out/results.parquet").read_bytes()
    again = command("run", "out/job.toml", "--json")
    assert (again.code, again.json["folder"]["requests_sent"]) == (0, ran.json["folder"]["requests_sent"])
    once_more = piped(command, FORMS[form], "run", "-", "--simulate", "--out", "out", *AT_ONCE, "--json")
    assert (once_more.code, once_more.json["folder"]["images_saved"]) == (0, 2)
    assert (command.cwd / "out/results.parquet").read_bytes() == before


def test_rows_that_failed_are_sent_again_by_retry(command: CommandLine) -> None:
    data = b"id,prompt\na,a fox\nb,[[refuse]] a hare\n"
    assert piped(command, data, "run", "-", "--simulate", "--out", "out", *AT_ONCE).code == 3
    ids = piped(command, b"b\n", "retry", "out", "--rows", "-", "--set", "prompt=a hare", "--json")
    assert (ids.code, ids.json["folder"]["images_saved"]) == (0, 2), ids.err


def test_a_form_that_the_content_does_not_tell(command: CommandLine) -> None:
    data = b"scene;number\na fox;1\n"
    lines = piped(command, data, "plan", "-", "--simulate", "--json")
    assert lines.json["rows"] == 2
    options = ("--set", "input.format=csv", "--prompt-col", "scene")
    assert piped(command, data, "plan", "-", "--simulate", "--json", *options).json["rows"] == 1


def test_an_edited_manifest_is_told_from_stdin_too(command: CommandLine) -> None:
    run = ("run", "-", "--simulate", "--out", "out", *AT_ONCE)
    assert piped(command, b"id,prompt\na,a fox\n", *run).code == 0
    edited = piped(command, b"id,prompt\na,a wolf\n", *run)
    assert (edited.code, "1 row was edited" in edited.err) == (2, True)
    assert (command.cwd / "out/manifest.csv").read_bytes() == b"id,prompt\na,a fox\n"


@pytest.mark.parametrize("data", [b"", b"prompt\n", b"\n\n"])
def test_an_empty_stdin_is_a_mistake_and_keeps_what_was_there(command: CommandLine, data: bytes) -> None:
    run = ("run", "-", "--simulate", "--out", "out", *AT_ONCE)
    assert piped(command, b"prompt\na fox\n", *run).code == 0
    empty = piped(command, data, *run)
    assert empty.is_one_message()
    assert (empty.code, empty.err.splitlines()[0]) == (2, "error: stdin has no rows: nothing is asked for")
    assert (command.cwd / "out/manifest.csv").read_bytes() == b"prompt\na fox\n"
    assert command("run", "out/job.toml").code == 0


def test_stdin_needs_a_folder(command: CommandLine) -> None:
    ended = piped(command, b"a fox\n", "run", "-", "--simulate")
    assert (ended.code, ended.is_one_message(), "--out runs/NAME" in ended.err) == (2, True, True)
    assert list(command.cwd.iterdir()) == []


def test_a_pattern_does_not_find_our_own_tables(command: CommandLine) -> None:
    (command.cwd / "m.csv").write_text("id,prompt\na,a fox\n")
    assert command("run", "m.csv", "--simulate", "--out", "runs/a", *AT_ONCE).code == 0
    pq.write_table(pa.table({"prompt": ["x", "y"]}), Path(command.cwd / "mine.parquet"))
    assert command("plan", "**/*.parquet", "--simulate", "--json").json["rows"] == 2
    only = command("plan", "runs/*/*.parquet", "--simulate")
    assert (only.code, only.is_one_message()) == (2, True)
    assert "imagemill's own files" in only.err
