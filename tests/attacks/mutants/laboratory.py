"""A copy of the checkout with an interpreter of its own, in which a bug does nobody any harm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.attacks.mutants.bugs import Bug

CHECKOUT = Path(__file__).resolve().parents[3]
_HANG_S = 900.0
_MOST_FAILURES = 6
_COMMAND = """#!{python}
import sys
from runner.cli.main import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Ids of tests. broken: those that could not be carried out."""

    passed: frozenset[str]
    failed: frozenset[str]
    broken: frozenset[str]


def planted(checkout: Path, bug: Bug) -> str:
    """The source of the bug's file with the bug in it. Raises ValueError when its place cannot be told any more."""
    source = (checkout / bug.path).read_text(encoding="utf-8")
    count = source.count(bug.old)
    if count != 1:
        raise ValueError(f"{bug.name}: the text to replace is {count} times in {bug.path}: {bug.old!r}")
    changed = source.replace(bug.old, bug.new)
    compile(changed, bug.path, "exec")
    return changed


class Laboratory:
    """The copy, made below `folder` from what git knows of the checkout and what it does not ignore."""

    def __init__(self, folder: Path) -> None:
        self._copy = folder / "checkout"
        self._python = folder / "env" / "bin" / "python"
        self._results = folder / "results.xml"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (CHECKOUT / name).is_file():
                (self._copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, self._copy / name)
        self._install(folder / "env")

    def _install(self, environment: Path) -> None:
        """An interpreter that finds the copy first, then the libraries of this one, and the command beside it."""
        venv.EnvBuilder(symlinks=True).create(environment)
        libraries = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (found,) = environment.glob("lib/python*/site-packages")
        (found / "copy.pth").write_text("\n".join((str(self._copy), *libraries)))
        command = self._python.with_name("imagemill")
        command.write_text(_COMMAND.format(python=self._python))
        command.chmod(0o755)

    @contextmanager
    def with_bug(self, bug: Bug) -> Iterator[None]:
        """The bug is in the copy for as long as the block lasts."""
        path = self._copy / bug.path
        whole = path.read_text(encoding="utf-8")
        path.write_text(planted(self._copy, bug), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(whole, encoding="utf-8")

    def ask(self, tests: tuple[str, ...], *, all_of_them: bool = False) -> Outcome:
        """Run these tests; unless all are wanted, until a few have failed."""
        most = [] if all_of_them else [f"--maxfail={_MOST_FAILURES}"]
        options = [
            "-q",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            "-o",
            "junit_family=xunit1",
            f"--junitxml={self._results}",
            "-m",
            "not campaign",  # slow tests too, which the checkout's own options leave out
        ]
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [self._python, "-m", "pytest", *options, *most, *tests],
            cwd=self._copy,
            env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_HANG_S,
            check=False,
        )
        if not self._results.exists():
            raise RuntimeError(f"pytest did not run: {done.stdout[-2000:]}")
        outcome = _read(self._results)
        self._results.unlink()
        return outcome


def _read(results: Path) -> Outcome:
    ids: dict[str, set[str]] = {"passed": set(), "failure": set(), "error": set(), "skipped": set()}
    for case in ElementTree.parse(results).iter("testcase"):
        found = next((child.tag for child in case if child.tag in ids), "passed")
        ids[found].add(f"{case.get('file')}::{case.get('name')}")
    return Outcome(*(frozenset(ids[name]) for name in ("passed", "failure", "error")))
