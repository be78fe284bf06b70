"""Fixtures that several folders of tests share."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.commandline import CommandLine

pytest_plugins = ("tests.canary",)

CHECKOUT = Path(__file__).resolve().parents[1]
SLOW = (
    *("tests/docs/test_commands.py", "tests/crash/test_powerloss.py", "tests/bench/test_peers.py"),
    *("tests/dialects/test_matrix.py", "tests/faults/test_faults.py", "tests/crash/test_campaign.py"),
    *("tests/dialects/test_kills.py", "tests/runner/test_any_sequence.py", "tests/endtoend/test_samples.py"),
    *(
        "tests/dialects/test_new_relay.py",
        "tests/endtoend/test_ten_nights.py",
        "tests/runner/test_machine.py",
    ),
    *("tests/endtoend/test_litellm.py", "tests/mutants/test_mutants.py", "tests/runner/test_stops.py"),
    *("tests/runner/test_nights.py", "tests/runner/test_retry.py", "tests/runner/test_verify.py"),
    *("tests/runner/store/test_save_queue.py", "tests/runner/test_gaps.py", "tests/bench/test_start.py"),
    *("tests/runner/cli/test_changes.py", "tests/runner/cli/test_runs.py", "tests/endtoend/test_repair.py"),
    *(
        "tests/runner/reprocess/test_interrupted.py",
        "tests/runner/test_budget.py",
        "tests/endtoend/test_shows.py",
    ),
    *("tests/runner/test_telling.py", "tests/test_canary.py", "tests/runner/dialects/test_resumed.py"),
)
"""Whole commands by the hundred: marked `slow`, and run by `.ci/run` after the others. In order of length, the
longest first, so that in the end nobody waits for one of them alone."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow files, and put the longest first; whoever spreads files over processes takes them in this order."""
    places = {CHECKOUT / name: place for place, name in enumerate(SLOW)}
    for item in items:
        if item.path in places:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(autouse=True)
def log_levels() -> None:
    """As if nothing had been configured: a command that runs in this process, for whichever test, sets them for good."""
    logging.getLogger().setLevel(logging.WARNING)
    for name in ("runner", "jobs", "schemas"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The repository."""
    return CHECKOUT


@pytest.fixture(scope="session")
def samples(checkout: Path) -> Path:
    """`sample_batches`."""
    return checkout / "sample_batches"


@pytest.fixture(scope="session")
def shared_data(checkout: Path) -> Path:
    """The published prompt sets beside the checkout (`../shared/data`); skips where they are absent."""
    folder = checkout.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the published prompt sets are not here: no folder {folder}")
    return folder


@pytest.fixture
def command(tmp_path: Path) -> CommandLine:
    """The installed command, run in an empty folder."""
    return CommandLine(tmp_path)
