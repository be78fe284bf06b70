"""Lines 10 to 12, and the cost a row: manifests from short to long, with nearly all rows done."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench.peers.contestants import CLIENTS, ROOT, Ground
from tests.bench.peers.goals import Reached
from tests.bench.peers.making import Long, long, write_manifest
from tests.bench.peers.measuring import Failed, Looks, watched
from tests.bench.peers.pictures import SMALL
from tests.bench.peers.programs import LoadServer, Serving
from tests.bench.peers.traffic import Size
from tests.bench.peers.turns import repetitions
from tests.support.canary import WITH_CANARY
from tests.support.commandline import COMMAND, CommandLine

SHORT_ROWS = 1000
FEW_ROWS = 100
FLAT = (1000, 10, 1)
"""The long manifest's rows by these are the shorter ones: 10,000 and 1,000,000 of 10,000,000."""
_LIMIT_S = 3600.0
_ASK_EVERY_S = 0.1
_REPEATS = 3
_ENDLESS = 10**9
_LEAST_S, _WORTH_IT = 4.0, 100_000
"""So long a round the longest manifest is at work for its cost a row; a shorter one than this, as long as it takes."""


def _run(ground: Ground, command: list[str], enough: Callable[[], bool] = lambda: False) -> Looks:
    environ = CommandLine(ground.scratch).environ(**WITH_CANARY, PYTHONPATH=str(ROOT))
    if command[0] == COMMAND:
        del environ["PYTHONPATH"]
    return watched(command, environ, enough=enough, limit_s=_LIMIT_S)


def _told(looks: Looks, what: str) -> dict[str, Any]:
    if looks.code:
        raise Failed(f"{what} ended with {looks.code}: {looks.out.strip()[-400:]}")
    document: dict[str, Any] = json.loads(looks.out.strip().splitlines()[-1])
    return document


def _client(ground: Ground, script: str, *arguments: str | Path) -> tuple[dict[str, Any], Looks]:
    looks = _run(ground, [sys.executable, str(CLIENTS / script), *map(str, arguments)])
    return _told(looks, f"{script} {arguments[0]}"), looks


def _plan(ground: Ground, made: Long) -> Looks:
    """`imagemill plan` of the job whose rows are nearly all done."""
    options = ("--base-url", "http://127.0.0.1:9/v1", "--out", str(made.out), "--json", "-q")
    looks = _run(ground, [COMMAND, "plan", str(made.manifest), *options])
    done = _told(looks, "plan")["done"]
    if done < made.done:
        raise Failed(
            f"the folder made for this bench has {done:,} rows done, not {made.done:,}: make it anew"
        )
    return looks


def _first_request(ground: Ground, manifest: Path, out: Path) -> tuple[float, float]:
    """(seconds from the command to its first request, peak memory until then in MB) of a run that is killed there."""
    with LoadServer(ground.programs, Serving(SMALL)) as server:
        asked = [time.monotonic()]

        def enough() -> bool:
            if time.monotonic() - asked[0] < _ASK_EVERY_S:
                return False
            asked[0] = time.monotonic()
            return bool(server.stats()["posts"])

        options = ("--base-url", server.base_url, "--out", str(out), "--json", "-q", "--new-endpoint")
        looks = _run(ground, [COMMAND, "run", str(manifest), *options], enough)
        stats = server.stats()
    if not stats["posts"]:
        raise Failed(f"no request came: {looks.out.strip()[-400:]}")
    return stats["first_s"] - looks.began_s, looks.peak_mb


def _seconds(looks: Looks) -> float:
    return looks.ended_s - looks.began_s


def _times(size: Size) -> int:
    """How often a measurement that may take minutes is made."""
    return min(_REPEATS, size.rounds)


def plan(ground: Ground, size: Size) -> Iterator[Reached]:
    """Plan and resume against a plain scan."""
    made = long(ground.kept, size.rows)
    ratios: dict[str, list[float]] = {"plan": [], "resume": []}
    peak, scans = 0.0, []
    for _ in range(_times(size)):
        scan = _seconds(_client(ground, "arrow.py", "scan", made.manifest)[1])
        planned = _plan(ground, made)
        resumed, memory = _first_request(ground, made.manifest, made.out)
        scans.append(scan)
        ratios["plan"].append(_seconds(planned) / scan)
        ratios["resume"].append(resumed / scan)
        peak = max(peak, planned.peak_mb, memory)
    note = f"{made.rows:,} rows; the scan takes {statistics.median(scans):.1f} s"
    yield Reached("10 plan", statistics.median(ratios["plan"]), note)
    yield Reached("10 resume", statistics.median(ratios["resume"]))
    yield Reached("10 memory", peak)


def first(ground: Ground, size: Size) -> Iterator[Reached]:
    """The first request of a new run, by the manifest's length."""
    paths = {rows: ground.kept / f"{rows}.parquet" for rows in (SHORT_ROWS, size.rows)}
    taken: dict[int, list[float]] = {rows: [] for rows in paths}
    for rows, path in paths.items():
        if not path.exists():
            write_manifest(path, rows)
    for _ in range(size.rounds):
        for rows, path in paths.items():
            with tempfile.TemporaryDirectory(dir=ground.scratch) as out:
                taken[rows].append(_first_request(ground, path, Path(out))[0])
    short, length = (statistics.median(taken[rows]) for rows in paths)
    ratio = statistics.median(b / a for a, b in zip(taken[SHORT_ROWS], taken[size.rows], strict=True))
    yield Reached("11", ratio, f"{short:.2f} s at {SHORT_ROWS:,}, {length:.2f} s at {size.rows:,}")


def results(ground: Ground, size: Size) -> Iterator[Reached]:
    """Writing the results table against a copy of the manifest."""
    made = long(ground.kept, size.rows)
    ratios, peak = [], 0.0
    for _ in range(_times(size)):
        with tempfile.TemporaryDirectory(dir=ground.scratch) as folder:
            copied, _looks = _client(ground, "arrow.py", "copy", made.manifest, Path(folder) / "copy.parquet")
        written, looks = _client(ground, "inside_long.py", "results", made.manifest, made.out, "1")
        taken_s = written["ended"] - written["began"]
        ratios.append(taken_s / copied["seconds"])
        peak = max(peak, looks.peak_mb)
    note = f"{made.rows:,} rows; {taken_s:.1f} s, the copy {copied['seconds']:.1f} s"
    yield Reached("12", statistics.median(ratios), note)
    yield Reached("12 memory", peak)


def flat(ground: Ground, size: Size) -> Iterator[Reached]:
    """Time a row of planning and of writing results, by the manifest's length: what its rows add to what a few take."""
    made = [
        long(ground.kept, rows) for rows in (FEW_ROWS, *(max(SHORT_ROWS, size.rows // part) for part in FLAT))
    ]
    for line, what in (("new", "plan"), ("plan", "plan"), ("results", "results")):
        start_s, *whole_s = _in_turns_s(ground, size, what, made, line)
        costs = {
            each.rows: (taken - start_s) / (each.rows - FEW_ROWS) * 1e6
            for each, taken in zip(made[1:], whole_s, strict=True)
        }
        told = ", ".join(f"{cost:.2f} us a row at {rows:,}" for rows, cost in costs.items())
        note = f"{told}; {FEW_ROWS} rows take {start_s * 1000:.0f} ms"
        yield Reached(f"flat {line}", max(costs.values()) / min(costs.values()), note)


def _in_turns_s(ground: Ground, size: Size, what: str, made: list[Long], line: str) -> list[float]:
    """Seconds of each, the mean of those times for which everything has been imported and its memory was there.

    The mean, because one time of the longest is a mean over good and bad seconds of the machine, too.
    """
    commands = []
    for each in made:
        out = each.out.with_name("none") if line == "new" else each.out
        script = str(CLIENTS / "inside_long.py")
        commands.append([sys.executable, script, what, str(each.manifest), str(out), str(_ENDLESS)])
    environ = CommandLine(ground.scratch).environ(**WITH_CANARY, PYTHONPATH=str(ROOT))
    least_s = _LEAST_S * size.rounds if size.rows >= _WORTH_IT else 0.0
    taken = repetitions(commands, environ, least_s, _LIMIT_S)
    return [statistics.fmean(times[len(times) > 1 :]) for times in taken]
