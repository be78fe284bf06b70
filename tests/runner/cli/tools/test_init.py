"""`imagemill init`: what it writes runs as it stands, and nothing that is there is touched."""

from __future__ import annotations

import tomllib

from tests.support.commandline import AT_ONCE, CommandLine

NAMES = [".env.example", "job.toml", "prompts.csv"]


def test_what_init_writes_runs_by_the_command_that_it_names(command: CommandLine) -> None:
    done = command("init", "my first", "--json")
    assert (done.code, sorted(done.json["written"]), done.json["kept"]) == (0, NAMES, [])
    assert sorted(path.name for path in (command.cwd / "my first").iterdir()) == NAMES
    words = done.json["next"].replace("'", "").split(" ")
    assert words == ["imagemill", "run", "my", "first/job.toml", "--simulate", "--out", "runs/trial"]
    ran = command("run", "my first/job.toml", "--simulate", "--out", "runs/trial", *AT_ONCE)
    assert ran.code == 0, ran.err
    assert [row["row_id"] for row in command.results("runs/trial")] == ["fox", "lighthouse", "teapot"]


def test_init_overwrites_nothing_and_says_so(command: CommandLine) -> None:
    (command.cwd / "prompts.csv").write_text("prompt\nmine\n")
    done = command("init")
    assert done.code == 0
    assert "kept     prompts.csv (as it was: init overwrites nothing)" in done.out
    assert (command.cwd / "prompts.csv").read_text() == "prompt\nmine\n"
    again = command("init", "--json")
    assert (again.json["written"], sorted(again.json["kept"])) == ([], NAMES)


def test_the_starting_files_hold_no_key_and_the_comments_are_keys_that_exist(command: CommandLine) -> None:
    """Each commented line of the job file is one that may be used as it stands."""
    command("init")
    text = (command.cwd / "job.toml").read_text()
    lines = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if line.startswith("# ") and (" = " in line or line.startswith("# ["))
    ]
    head = (
        text[: text.index("# [columns]")]
        .replace("# model", "model")
        .replace("# output_format", "output_format")
    )
    whole = head + "\n".join(line for line in lines if not line.startswith(("model", "output_format")))
    assert tomllib.loads(whole)["budget"] == {"max_cost": 5.0}
    (command.cwd / "whole.toml").write_text(whole)
    (command.cwd / "columns.csv").write_text("caption,item_id\na fox,1\n")
    plan = command("plan", "whole.toml", "--set", "manifest=columns.csv", "--json")
    assert (plan.code, plan.json["rows"]) == (0, 1), plan.err


def test_an_output_folder_is_no_place_to_begin(command: CommandLine) -> None:
    (command.cwd / "ledger.sqlite").touch()
    assert command("init").is_one_message()
