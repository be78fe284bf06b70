"""The main job as its users see it: published prompt sets, a kill half-way, mistakes of every day, the Python calls."""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.canary import WITH_CANARY
from tests.support.commandline import AT_ONCE, CommandLine, Ended, Service, decoded

Prompts = list[tuple[str | None, str]]
"""Id (None where the set has none) and prompt of each row, read without our own code."""

FAST = ("--simulate", *AT_ONCE, "--size", "256x256", "--output-format", "jpeg", "--json")


def parti(folder: Path) -> Prompts:
    lines = (folder / "parti/PartiPrompts.tsv").read_text("utf-8").split("\n")
    return [(None, line.split("\t")[0]) for line in lines[1:] if line]


def geneval(folder: Path) -> Prompts:
    lines = (folder / "geneval/evaluation_metadata.jsonl").read_text("utf-8").splitlines()
    return [(None, json.loads(line)["prompt"]) for line in lines]


def lines_of(name: str) -> Callable[[Path], Prompts]:
    return lambda folder: [(None, line) for line in (folder / name).read_bytes().decode().splitlines()]


def dsg(folder: Path) -> Prompts:
    with (folder / "dsg/tifa160-dev-anns.csv").open(encoding="utf-8", newline="") as file:
        return list({row["item_id"]: (row["item_id"], row["text"]) for row in csv.DictReader(file)}.values())


def dpg(folder: Path) -> Prompts:
    return [(path.stem, path.read_text("utf-8")) for path in (folder / "dpg-bench/prompts").glob("*.txt")]


SETS: dict[str, tuple[Callable[[Path], Prompts], int, tuple[str, ...]]] = {
    "parti/PartiPrompts.tsv": (parti, 1632, ()),
    "geneval/evaluation_metadata.jsonl": (geneval, 553, ()),
    "geneval/generation_prompts.txt": (lines_of("geneval/generation_prompts.txt"), 553, ()),
    "t2i-compbench/complex_val.txt": (lines_of("t2i-compbench/complex_val.txt"), 300, ()),
    "t2i-compbench/color_val.txt": (lines_of("t2i-compbench/color_val.txt"), 300, ()),
    "t2i-compbench/numeracy_val.txt": (lines_of("t2i-compbench/numeracy_val.txt"), 300, ()),
    "dsg/tifa160-dev-anns.csv": (dsg, 160, ("--distinct", "item_id")),
    "dpg-bench/prompts": (dpg, 49, ()),
}


@pytest.mark.needs_shared
@pytest.mark.parametrize("name", SETS)
def test_published_prompts(command: CommandLine, shared_data: Path, name: str) -> None:
    """Every prompt byte-exact, every image whole; the second run sends nothing and changes nothing."""
    read, count, options = SETS[name]
    expected = read(shared_data)
    assert len(expected) == count
    run = ("run", str(shared_data / name), *options, *FAST, "--out", "out")
    first = command(*run)
    assert (first.code, first.json["by_status"]) == (0, {"succeeded": count}), first.err
    rows = command.results("out")
    if name.startswith("dpg"):
        rows, expected = (
            sorted(rows, key=lambda row: str(row["row_id"])),
            sorted(expected, key=lambda row: str(row[0])),
        )
    assert [row["prompt"] for row in rows] == [prompt for _, prompt in expected]
    if expected[0][0] is not None:
        assert [row["row_id"] for row in rows] == [row_id for row_id, _ in expected]
    files = [command.cwd / "out" / row["file_name"] for row in rows]
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(decoded, files)) == {("jpeg", (256, 256))}
    before = (command.cwd / "out/results.parquet").read_bytes()
    second = command(*run)
    assert (
        (second.code, second.json["folder"]["requests_sent"])
        == (0, first.json["folder"]["requests_sent"])
        == (0, count)
    )
    assert (command.cwd / "out/results.parquet").read_bytes() == before


IN_FLIGHT = 8


def numbered(path: Path, rows: int) -> Path:
    """A manifest of so many distinct prompts."""
    path.write_text("id,prompt\n" + "".join(f"{row},picture number {row}\n" for row in range(rows)))
    return path


def test_kill_and_resume(command: CommandLine, tmp_path: Path) -> None:
    """kill -9 half-way: finished rows are not sent again, what was in flight is parked, the rest completes."""
    manifest = numbered(tmp_path / "prompts.csv", 160)
    with Service(command, "--latency", "0.1") as service:
        run = ("run", manifest, "--base-url", service.base_url, "--size", "64x64", "--out", "out", "--json")
        limited = (*run, "--concurrency", str(IN_FLIGHT))
        killed = command.start(*limited, environ=WITH_CANARY)
        until(lambda: int(service.stats()["requests"]) >= 60)
        killed.kill()
        killed.communicate(timeout=20)
        until(lambda: service.stats()["in_flight"] == 0)
        assert service.stats()["requests"] < 120
        undecided = command("status", "out", "--json").json["by_status"]["parked"]
        assert 1 <= undecided <= IN_FLIGHT
        resumed = command(*limited, environ=WITH_CANARY)
        parked = resumed.json["by_status"]["parked"]
        assert 1 <= parked <= undecided  # an image that was already on disk is kept
        assert resumed.code == 3, resumed.err
        assert resumed.json["by_status"] == {"succeeded": 160 - parked, "parked": parked}
        assert resumed.json["by_error"] == {"interrupted": parked}
        sent = service.stats()["by_prompt"]
        rows = {row["prompt"]: row["status"] for row in command.results("out")}
        assert set(sent.values()) == {1}
        assert {prompt for prompt, status in rows.items() if status == "succeeded"} <= sent.keys()
        assert command(*limited, environ=WITH_CANARY).code == 3
        assert service.stats()["by_prompt"] == sent


def until(reached: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Return when it holds; fail after so many seconds."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_wrong_key(command: CommandLine, samples: Path) -> None:
    with Service(command, "--latency", "0") as service:
        run = ("run", samples / "quickstart.csv", "--base-url", service.base_url, "--out", "out")
        ended = command(*run, environ={"IMAGEMILL_API_KEY": "invalid"})
        assert ended.code == 4
        assert "was refused: Incorrect API key provided" in ended.out
        assert "next       imagemill doctor out/job.toml" in ended.out
        assert "Traceback" not in ended.out + ended.err
        assert service.stats()["billed_images"] == 0
        doctor = command("doctor", "out/job.toml", environ={"IMAGEMILL_API_KEY": "invalid"})
        assert (doctor.code, "is wrong or revoked" in doctor.out) == (4, True)
        mended = command(*run, "--json", environ=WITH_CANARY)
        assert (mended.code, mended.json["by_status"]) == (0, {"succeeded": 15})


def test_no_key(command: CommandLine, samples: Path) -> None:
    ended = command("run", samples / "quickstart.csv")
    assert (ended.code, ended.is_one_message()) == (2, True), ended.err
    assert "DIEYUYUN_API_KEY is not set" in ended.err
    assert not (command.cwd / "runs").exists()


def test_no_prompt_column(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("id,promt\n1,a fox\n")
    ended = command("run", "words.csv", "--simulate")
    assert (ended.code, ended.is_one_message()) == (2, True), ended.err
    assert "did you mean --prompt-col 'promt'?" in ended.err


def test_an_unknown_job_key(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("[limits]\nrmp = 60\n")
    ended = command("run", "job.toml", "--simulate")
    assert (ended.code, ended.is_one_message()) == (2, True), ended.err
    assert "limits.rmp (job.toml:2): unknown key; did you mean limits.rpm?" in ended.err


def test_an_unwritable_folder(command: CommandLine, samples: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    ended = command("run", samples / "quickstart.csv", "--simulate", "--out", "file/out")
    assert (ended.code, ended.is_one_message()) == (2, True), ended.err
    assert "the output folder file/out cannot be written: Not a directory" in ended.err


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, so nobody else gets it, and on which nothing listens."""
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        yield plug.getsockname()[1]


def test_nothing_behind_the_port(command: CommandLine, samples: Path, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/v1"
    run = ("run", samples / "quickstart.csv", "--base-url", url, "--give-up", "1s", "--out", "out")
    ended = command(*run, environ=WITH_CANARY)
    assert ended.code == 5, ended.err
    assert f"no connection: Cannot connect to host 127.0.0.1:{closed_port}" in ended.out
    assert "next       imagemill run out/job.toml" in ended.out
    assert "Traceback" not in ended.out + ended.err
    rows = command.results("out")
    assert {(row["status"], row["error_kind"], row["maybe_billed"]) for row in rows} == {
        ("pending", "connect", 0)
    }


def python(command: CommandLine, text: str) -> Ended:
    """`python -c` in the command's folder and environment."""
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=command.cwd,
        env=command.environ(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_python_calls(command: CommandLine, samples: Path) -> None:
    manifest = str(samples / "quickstart.csv")
    ran = python(command, f"import runner; print(runner.run({manifest!r}, out='a', simulate=True))")
    assert ran.code == 0, ran.err
    assert "succeeded  15 images" in ran.out and "every row succeeded (exit code 0)" in ran.out
    read = python(
        command, "import runner; t = runner.results('a'); print(type(t), *t.shape, *t['row_id'][:2])"
    )
    assert read.out.startswith("<class 'pandas"), read.err
    assert "DataFrame'> 15 " in read.out and read.out.endswith("lighthouse teapot\n")


FRAME = """
import asyncio, pandas as pd, runner
frame = pd.DataFrame({"prompt": ["a fox", "a hare"], "seed": [7, 8]})
seen = []
summary = asyncio.run(runner.run_async(frame, out="b", simulate=True, on_progress=seen.append))
table = runner.results("b")
print(summary.exit_code, seen[-1].done_images, table["seed"].tolist(), table["prompt"].tolist())
"""


def test_python_calls_with_a_frame(command: CommandLine) -> None:
    ran = python(command, FRAME)
    assert (ran.code, ran.out) == (0, "0 2 [7, 8] ['a fox', 'a hare']\n"), ran.err
