"""`imagemill ls`: every folder below a place, each as it stands."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.commandline import AT_ONCE, CommandLine


def made(command: CommandLine, out: str, *options: str) -> None:
    command("run", "rows.csv", "--simulate", "--out", out, "-q", *AT_ONCE, *options)


def test_folders_at_any_depth_with_their_figures(command: CommandLine) -> None:
    (command.cwd / "rows.csv").write_text("prompt,n\na fox,2\n[[refuse]] a hare,1\n")
    made(command, "runs/a")
    made(command, "runs/deep/er/b", "--max-requests", "1")
    made(command, ".hidden/c")
    (command.cwd / "runs/empty").mkdir()
    found = command("ls", "--json").json["folders"]
    told = ("out", "state", "exit_code", "rows", "images", "by_status", "images_saved", "simulated")
    assert [tuple(folder[name] for name in told) for folder in found] == [
        ("runs/a", "finished", 3, 2, 3, {"succeeded": 2, "failed": 1}, 2, True),
        ("runs/deep/er/b", "stopped", 8, 2, 3, {"succeeded": 2, "pending": 1}, 2, True),
    ]
    assert [folder["out"] for folder in command("ls", "runs/deep", "--json").json["folders"]] == [
        "runs/deep/er/b"
    ]
    lines = command("ls").out.splitlines()
    assert lines[0].split() == ["folder", "state", "images", "failed", "parked", "cost", "age"]
    assert lines[1].split()[:5] == ["runs/a", "finished", "2/3", "1", "0"]


def test_a_damaged_folder_is_left_out_with_a_warning(command: CommandLine) -> None:
    (command.cwd / "rows.csv").write_text("prompt\na fox\n")
    made(command, "runs/a")
    (command.cwd / "runs/bad").mkdir()
    (command.cwd / "runs/bad/ledger.sqlite").write_bytes(os.urandom(4096))
    found = command("ls", "--json")
    assert [folder["out"] for folder in found.json["folders"]] == ["runs/a"]
    assert "runs/bad is left out" in found.err


def test_a_summary_of_another_run_is_not_believed(command: CommandLine) -> None:
    (command.cwd / "rows.csv").write_text("prompt\na fox\n")
    made(command, "runs/a")
    summary = command.cwd / "runs/a/summary.json"
    summary.write_text(summary.read_text().replace('"run_id": "', '"run_id": "not-'))
    (found,) = command("ls", "--json").json["folders"]
    assert (found["images"], found["images_saved"]) == (None, 1)


def test_nothing_below(command: CommandLine, tmp_path: Path) -> None:
    found = command("ls")
    assert (found.code, found.out) == (0, "")
    assert found.err == "no imagemill folder below .\n"
