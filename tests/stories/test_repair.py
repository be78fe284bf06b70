"""A night with refusals, time-outs and wrong sizes, repaired by three retries; every attempt of it stays told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Service, decoded
from tests.support.servedjob import ServedJob

SCENARIO = """
latency = { median = 0.0 }
[[fault]]
match = "rude(?!.*family friendly)"
kind = "moderation"
[[fault]]
match = "slow"
kind = "hang"
times = 1
[[fault]]
match = "odd"
kind = "wrong_size"
times = 1
"""
ROWS = 100
RUDE, SLOW, ODD = range(10), range(10, 15), range(15, 17)
"""10 % are refused, 5 % never answered, 2 % of another size than asked for."""


def prompt_of(row: int) -> str:
    """The row's prompt, which says what the service does with it."""
    word = "rude" if row in RUDE else "slow" if row in SLOW else "odd" if row in ODD else "plain"
    return f"a {word} owl {row}"


def attempts_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Every attempt of the rows that are told."""
    return [attempt for row in found["rows"] for attempt in row["attempts"]]


def test_three_retries_leave_nothing_failed_and_nothing_untold(command: CommandLine, tmp_path: Path) -> None:
    lines = "".join(f"r{row},{prompt_of(row)}\n" for row in range(ROWS))
    (tmp_path / "prompts.csv").write_text(f"id,prompt\n{lines}")
    (tmp_path / "faults.toml").write_text(SCENARIO)
    with Service(command, "--scenario", str(tmp_path / "faults.toml")) as service:

        def imagemill(*arguments: str, code: int = 0) -> dict[str, Any]:
            ended = command(*arguments, "--json", environ=WITH_CANARY)
            assert ended.code == code, ended.err
            return ended.json

        run = ServedJob(command, service, ROWS).arguments("--timeout", "2")
        first = imagemill(*run, code=3)
        assert first["by_status"] == {"succeeded": ROWS - 15, "failed": 10, "parked": 5}
        wrong = {row["row_id"]: row for row in command.results("out") if "size_mismatch" in row["flags"]}
        assert set(wrong) == {f"r{row}" for row in ODD}

        softer = ("--error", "moderation", "--set", "prompt={prompt}, family friendly")
        planned = imagemill("retry", "out", *softer, "--dry-run")
        assert (planned["requests"], planned["parked"], service.stats()["requests"]) == (10, 5, ROWS)
        imagemill("retry", "out", *softer, code=3)
        imagemill("retry", "out", "--error", "timeout", "--where", "contains(prompt, 'slow')")
        sizes = ("retry", "out", "--flag", "size_mismatch")
        assert "2 existing images" in imagemill(*sizes, code=2)["exit_reason"]
        last = imagemill(*sizes, "--yes")
        assert (last["by_status"], last["folder"]["requests_sent"]) == ({"succeeded": ROWS}, ROWS + 17)
        assert imagemill(*run)["folder"]["requests_sent"] == ROWS + 17
        stats = service.stats()

        found = imagemill("history", "out")
        assert [run["attempts"] for run in found["runs"]] == [ROWS, 10, 5, 2, 0]
        assert sum(run["attempts"] for run in found["runs"]) == stats["requests"] == ROWS + 17
        again = attempts_of(found)
        sent = Counter(
            attempt["prompt"] or row["prompt"] for row in found["rows"] for attempt in row["attempts"]
        )
        sent.update({prompt_of(row): 1 for row in range(17, ROWS)})
        assert sent == stats["by_prompt"]
        assert (len(found["rows"]), len(again), found["more_rows"]) == (17, 34, 0)
        assert sum(len(attempt["images"]) for attempt in again) == 10 + 5 + 4
        assert found["runs"][1]["command"]["set"] == {"prompt": "{prompt}, family friendly"}
        chosen = {"flag": ["size_mismatch"]}
        assert found["runs"][3]["command"] == {"command": "retry", "select": chosen}

    shown = command("history", "out", "r3").out
    for told in (
        "a rude owl 3",
        "a rude owl 3, family friendly",
        "failed",
        "moderation",
        "succeeded",
        "images/",
    ):
        assert told in shown
    rows = command.results("out")
    assert [row["prompt"] for row in rows] == [prompt_of(row) for row in range(ROWS)]
    assert [row["sent_prompt"] for row in rows[:11]] == [
        *(f"{prompt_of(row)}, family friendly" for row in RUDE),
        None,
    ]
    assert [row["try_number"] for row in rows[8:18]] == [2] * 9 + [1]
    for row in ODD:
        assert decoded(tmp_path / "out" / rows[row]["file_name"])[1] == (64, 64)
    old = [tmp_path / "out" / wrong[name]["file_name"] for name in sorted(wrong)]
    assert [decoded(path)[1] for path in old] == [(32, 32)] * 2

    assert command("prune", "out").code == 2
    pruned = command("prune", "out", "--yes", "--json").json
    assert (pruned["images"], pruned["removed"], pruned["kept"]) == (2, True, [])
    assert not any(path.exists() for path in old)
    assert command("verify", "out").code == 0
    assert command("history", "out", "r15").out.count(", pruned") == 1
