"""A relay is one row and one folder of recorded answers: with nothing else it is run, rehearsed and documented.

The relay of the page that says how to add one is added to a copy of the packages, of which the command is then made.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas import task_dialects
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Service, decoded

NAME = "nightheron"
PAGE = "docs/contributing/add-a-relay.md"
_ROW = re.compile(r"```python[^\n]*\n(.*?)```", re.DOTALL)
_RECORDED = re.compile(r"^`(\w+)\.json`[^|\n]*:\n\n```json\n(.*?)```", re.DOTALL | re.MULTILINE)
COPIED = ("schemas", "jobs", "runner", "tests")
PROMPTS = ["a night heron at dusk", "reeds in the wind", "the moon over a pond"]


class Copy(CommandLine):
    """The command, made of a copy of the packages in its folder."""

    def environ(self, **more: str) -> dict[str, str]:
        return super().environ(PYTHONPATH=str(self.cwd / "copy"), **more)

    def python(self, *arguments: str) -> str:
        """What a Python of the copy prints."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.cwd / "copy",
            env=self.environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Copy:
    """A copy of the checkout with one more relay."""
    folder = tmp_path_factory.mktemp("relay")
    for package in COPIED:
        shutil.copytree(
            checkout / package, folder / "copy" / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    page = (checkout / PAGE).read_text("utf-8")
    rows = folder / "copy" / Path(str(task_dialects.__file__)).relative_to(checkout)
    text = rows.read_text("utf-8")
    assert text.count("        AUTO,\n") == 1
    (row,) = _ROW.findall(page)
    rows.write_text(text.replace("        AUTO,\n", f"        AUTO,\n{row.rstrip()},\n"), "utf-8")
    recorded = folder / "copy" / "runner" / "simulator" / "recorded" / NAME
    recorded.mkdir()
    documents = dict(_RECORDED.findall(page))
    assert documents.keys() == {"submitted", "going", "done", "failed", "http"}
    for state, document in documents.items():
        (recorded / f"{state}.json").write_text(document, "utf-8")
    return Copy(folder)


def test_it_is_run_against_its_own_rehearsal(copy: Copy) -> None:
    (copy.cwd / "prompts.txt").write_text("\n".join(PROMPTS), "utf-8")
    with Service(copy, "--dialect", NAME, "--latency", "0.02") as service:
        assert service.base_url.endswith("/heron/v2")
        fixed = ("run", "prompts.txt", "--base-url", service.base_url, "--out", "out", "--json", "-q")
        options = ("--dialect", NAME, "--size", "64x64", "--set", "endpoint.poll_every=0.02")
        ended = copy(*fixed, *options, environ=WITH_CANARY)
        assert ended.code == 0, ended.err
        stats = service.stats()
    assert (stats["tasks"]["submitted"], stats["tasks"]["collected"]) == (3, 3)
    assert stats["polls"] >= 3
    rows = copy.results("out")
    assert sorted(row["prompt"] for row in rows) == sorted(PROMPTS)
    for row in rows:
        assert decoded(copy.cwd / "out" / row["file_name"]) == ("png", (64, 64))


def test_it_stands_in_the_documentation(copy: Copy) -> None:
    table = copy.python("-c", "from tests.docs.tables import TABLES; print(TABLES['relays']())")
    asked = "the path `images/jobs`, `?wait=no`, the key in `X-Heron-Key`"
    assert f"| `{NAME}` | {asked} | `jobs/ID` |" in table.splitlines()


def test_its_recordings_are_played_like_all_others(copy: Copy) -> None:
    options = ("-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--import-mode=importlib")
    assert "4 passed" in copy.python(*options, "tests/attacks/dialects/test_recordings.py", "-k", NAME)
