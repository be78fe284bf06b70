"""The frame: the lock, the changelog and the package's description agree with each other."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runner.process.version import VERSION
from tests.support.wheel import NEEDED, complaints


@pytest.fixture(scope="module")
def project(checkout: Path) -> dict[str, Any]:
    document: dict[str, Any] = tomllib.loads((checkout / "pyproject.toml").read_text())
    return document


def test_the_lock_pins_what_the_project_asks_for(checkout: Path, project: dict[str, Any]) -> None:
    lock = (checkout / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==([^ ]+)", lock, re.MULTILINE))
    extras = project["project"]["optional-dependencies"]
    asked = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *chain.from_iterable(extras.values()),
    ]
    for requirement in map(Requirement, asked):
        if requirement.name != "imagemill":
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_lock_names_no_registry(checkout: Path) -> None:
    lines = (checkout / "requirements.lock").read_text().splitlines()
    kinds = re.compile(r"#.*|[a-z0-9._-]+==[^ ]+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if not kinds.fullmatch(line)] == []
    assert "://" not in "\n".join(lines)


def test_one_version_everywhere(checkout: Path, project: dict[str, Any]) -> None:
    assert project["project"]["version"] == VERSION
    changelog = (checkout / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0] == VERSION


def test_a_wheel_with_anything_else_is_refused() -> None:
    good = list(NEEDED)
    assert complaints([*good, "imagemill-0.1.0.dist-info/METADATA"]) == []
    assert complaints([*good, "tests/x.py", "jobs/__pycache__/a.pyc"]) == [
        "not ours: tests",
        "litter: jobs/__pycache__/a.pyc",
    ]
    assert complaints(good[1:]) == ["missing: runner/cli/main.py"]
    assert complaints([*good, "runner/docs/images/x.png"]) == ["litter: runner/docs/images/x.png"]


def test_a_wheel_needs_the_documentation() -> None:
    assert complaints([name for name in NEEDED if not name.endswith("/resume.md")]) == [
        "missing: runner/docs/how-to/resume.md"
    ]
