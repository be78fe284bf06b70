"""`python -m tests.bench peers [NAME ...]`: the whole runner beside its peers, with floor and aim.

Everything runs on this machine, in rounds in which everybody has a turn, and every figure is a ratio within a round or an
absolute one that does not depend on the load. NAME: some of the benches only; `--rows`, `--n`, `--rounds` scale them.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench.peers import manifests, pictures, traffic
from tests.bench.peers.contestants import Ground, python_with_openai
from tests.bench.peers.goals import Reached, show, show_head
from tests.bench.peers.measuring import Failed
from tests.bench.peers.plot import plot
from tests.bench.peers.programs import CannotRun, compiled
from tests.bench.peers.traffic import Size

Bench = Callable[[Ground, Size], Iterable[Reached]]
BENCHES: dict[str, Bench] = {
    "start": traffic.start,
    "big": traffic.big,
    "memory": traffic.memory,
    "small": traffic.small,
    "waves": traffic.waves,
    "url": traffic.url,
    "lag": traffic.lag,
    "steady": traffic.steady,
    "plan": manifests.plan,
    "first": manifests.first,
    "results": manifests.results,
    "flat": manifests.flat,
}
_PACKAGES = ("aiohttp", "pyarrow", "pybase64", "pandas", "pillow")
_QUICK = Size(images=96, rounds=1, rows=100_000)


def _machine(ground: Ground) -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, load {os.getloadavg()[0]:.1f}; images on "
        f"{_kind(ground.scratch)}\n{', '.join(versions)}, openai {_openai_version(ground)}"
    )


def _kind(folder: Path) -> str:
    """The kind of file system that a folder is on."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(place, kind) for place, kind in mounts if folder.resolve().is_relative_to(place)]
    return max(above, key=lambda each: len(each[0]))[1] if above else "an unknown file system"


def _openai_version(ground: Ground) -> str:
    if not ground.python_with_openai:
        return "absent"
    command = [ground.python_with_openai, "-c", "import openai; print(openai.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.strip()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench peers")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--n", type=int, help="images of a run, of 1.5 MB (default 1800)")
    parser.add_argument("--rounds", type=int, help="of which the median counts (default 5)")
    parser.add_argument("--rows", type=int, help="of the long manifest (default 10,000,000)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument(
        "--folder", type=Path, help="where images are written (default: the temporary folder)"
    )
    parser.add_argument("--plot", type=Path, help="measure for the plot too, and write it here (SVG)")
    parser.add_argument("--made", type=Path, help="keep long manifests and ledgers here, for the next bench")
    parser.add_argument("--check", choices=("decode", "structure"), default="decode", help="of imagemill")
    parser.add_argument("--photos", action="store_true", help="pictures that are work to decode")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(BENCHES)
    if unknown:
        parser.error(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    return options


def main(arguments: list[str]) -> int:
    """Run the named benches, or all; 1 when a floor is missed or a bench failed."""
    options = _options(arguments)
    usual = _QUICK if options.quick else Size()
    size = Size(options.n or usual.images, options.rounds or usual.rounds, options.rows or usual.rows)
    scratch = Path(tempfile.mkdtemp(prefix="imagemill-bench-", dir=options.folder))
    try:
        kept = options.made or scratch / "kept"
        kept.mkdir(parents=True, exist_ok=True)
        benches = {name: BENCHES[name] for name in options.names or BENCHES}
        if options.plot:
            benches["plot"] = partial(plot, target=options.plot)
        return _measure(scratch, kept.resolve(), benches, size, options)
    finally:
        shutil.rmtree(scratch)


def _measure(
    scratch: Path, kept: Path, benches: dict[str, Bench], size: Size, options: argparse.Namespace
) -> int:
    (scratch / "programs").mkdir()
    ground = Ground(scratch / "programs", scratch, kept, python_with_openai(), options.check)
    try:
        compiled(ground.programs)
    except CannotRun as reason:
        sys.stdout.write(f"skipped: {reason}\n")
        return 0
    pictures.write(ground.programs, photos=options.photos)
    sys.stdout.write(
        f"{_machine(ground)}\n{size.images} images a run, median of {size.rounds} rounds; output.check = {options.check}\n"
    )
    show_head()
    bad = 0
    for name, bench in benches.items():
        bad += _failed(name, bench, ground, size)
    return 1 if bad else 0


def _failed(name: str, bench: Bench, ground: Ground, size: Size) -> bool:
    """Whether a floor was missed, or it failed."""
    began, bad = time.monotonic(), False
    try:
        for reached in bench(ground, size):
            show(reached)
            bad |= reached.missed
    except CannotRun as reason:
        sys.stdout.write(f"{name}: skipped: {reason}\n")
    except Failed as problem:
        sys.stdout.write(f"{name}: FAILED: {problem}\n")
        bad = True
    sys.stdout.write(f"  ({name}: {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f})\n")
    return bad
