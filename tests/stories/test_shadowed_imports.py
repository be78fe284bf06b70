"""A project that has packages of our names, and the names that ours have."""

from __future__ import annotations

import sys

import pytest

from tests.support.commandline import CommandLine

MEND = "rename yours, or start Python from another folder (or with -P, and without PYTHONPATH)"


def python(command: CommandLine, code: str, *flags: str) -> tuple[int, str]:
    ended = command(*flags, "-c", code, program=sys.executable)
    return ended.code, (ended.err or ended.out).rstrip("\n").rpartition("\n")[2]


@pytest.mark.parametrize("name", ["schemas", "jobs"])
@pytest.mark.parametrize("ours", ["runner", "imagemill"])
def test_a_package_of_the_users_is_named(command: CommandLine, name: str, ours: str) -> None:
    (command.cwd / name).mkdir()
    (command.cwd / name / "__init__.py").write_text("X = 1\n")
    code, last = python(command, f"import {ours}; {ours}.run")
    assert code == 1
    assert last.startswith(
        f"ImportError: Python finds {command.cwd / name / '__init__.py'} where imagemill's own "
    )
    assert f"package `{name}`" in last and last.endswith(MEND)
    assert python(command, f"import {ours}; print({ours}.run.__name__)", "-P") == (0, "run")


def test_one_that_is_loaded_already_is_named(command: CommandLine) -> None:
    (command.cwd / "jobs.py").write_text("X = 1\n")
    code, last = python(command, "import jobs, runner")
    assert code == 1 and f"Python finds {command.cwd / 'jobs.py'} where" in last and last.endswith(MEND)


def test_a_runner_of_the_users_is_named_and_not_run(command: CommandLine) -> None:
    (command.cwd / "runner.py").write_text("print('mine')\n")
    code, last = python(command, "import imagemill")
    assert code == 1
    found = f"Python finds {command.cwd / 'runner.py'} where imagemill's own package `runner` should be"
    assert last == f"ImportError: {found}: {MEND}"
    assert "mine" not in command("-c", "import imagemill", program=sys.executable).out


def test_a_folder_without_code_shadows_nothing(command: CommandLine) -> None:
    (command.cwd / "jobs").mkdir()
    assert python(command, "import imagemill; print(imagemill.run.__name__)") == (0, "run")


def test_imagemill_is_runner(command: CommandLine) -> None:
    same = "all(getattr(imagemill, name) is getattr(runner, name) for name in runner.__all__)"
    assert python(command, f"import imagemill, runner; print({same} and dir(imagemill) == dir(runner))") == (
        0,
        "True",
    )
    assert python(command, "from imagemill import *; print(run.__module__, __version__)")[0] == 0
    ended = command("-m", "imagemill", "--version", program=sys.executable)
    assert (ended.code, ended.out.split()[0]) == (0, "imagemill")


def test_only_what_is_for_users_is_shown_and_nothing_heavy_is_loaded(command: CommandLine) -> None:
    code = (
        "import runner, sys; heavy = {'pandas', 'pyarrow', 'pydantic', 'aiohttp', 'click'} & set(sys.modules); "
        "print(dir(runner) == sorted(runner.__all__), heavy, hasattr(runner, 'nothing'))"
    )
    assert python(command, code) == (0, "True set() False")
