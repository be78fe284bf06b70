"""Fixtures that several folders of tests share."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.support.commandline import CommandLine

pytest_plugins = ("tests.support.canary",)

CHECKOUT = Path(__file__).resolve().parents[1]
SLOW = (
    "tests/browser/test_report_page.py",
    "tests/browser/test_loop.py",
    "tests/docs/test_commands.py",
    "tests/attacks/crash/test_powerloss.py",
    "tests/bench/test_peers.py",
    "tests/attacks/dialects/test_matrix.py",
    "tests/attacks/faults/test_faults.py",
    "tests/attacks/crash/test_campaign.py",
    "tests/attacks/dialects/test_kills.py",
    "tests/stories/test_any_sequence.py",
    "tests/stories/test_samples.py",
    "tests/stories/test_json_objects.py",
    "tests/runner/cli/commands/test_status.py",
    "tests/runner/cli/commands/test_failures.py",
    "tests/stories/test_python_calls.py",
    "tests/stories/test_shown_runs.py",
    "tests/stories/test_failures.py",
    "tests/stories/test_notebook.py",
    "tests/attacks/dialects/test_new_relay.py",
    "tests/stories/test_ten_nights.py",
    "tests/stories/test_machine.py",
    "tests/stories/test_litellm.py",
    "tests/attacks/mutants/test_mutants.py",
    "tests/stories/test_stops.py",
    "tests/stories/test_nights.py",
    "tests/stories/test_retry.py",
    "tests/stories/test_picks.py",
    "tests/runner/reports/test_build.py",
    "tests/runner/maintenance/test_verify.py",
    "tests/runner/artifacts/test_save_queue.py",
    "tests/stories/test_gaps.py",
    "tests/bench/test_start.py",
    "tests/runner/cli/lines/test_changes.py",
    "tests/runner/cli/commands/test_runs.py",
    "tests/stories/test_repair.py",
    "tests/stories/test_interrupted_retry.py",
    "tests/stories/test_first_contact.py",
    "tests/stories/test_stdin.py",
    "tests/stories/test_budget_of_a_run.py",
    "tests/stories/test_shows.py",
    "tests/runner/telemetry/test_notify.py",
    "tests/stories/test_canary.py",
    "tests/stories/test_resumed_tasks.py",
    "tests/stories/test_behind_proxy.py",
    "tests/stories/test_changing_manifests.py",
    "tests/stories/test_forgetful_ledgers.py",
    "tests/stories/test_images_that_take_long.py",
    "tests/stories/test_odd_pictures.py",
    "tests/stories/test_output_folder.py",
    "tests/stories/test_renamed_rows.py",
    "tests/stories/test_bodies_on_the_wire.py",
    "tests/stories/test_two_interrupts.py",
    "tests/stories/test_closed_streams.py",
    "tests/stories/test_stopped_process.py",
    "tests/stories/test_hangups.py",
    "tests/stories/test_interrupted_programs.py",
    "tests/stories/test_exports.py",
)
"""Whole commands by the hundred: marked `slow`, and run by `.ci/run` after the others. In order of length, the
longest first, so that in the end nobody waits for one of them alone."""


def pytest_configure() -> None:
    """Refuse a session when SLOW names a file that is not there: once moved, it would run with the quick ones."""
    absent = [name for name in SLOW if not (CHECKOUT / name).is_file()]
    if absent:
        raise pytest.UsageError(
            f"SLOW in tests/conftest.py names files that are not there: {', '.join(absent)}"
        )


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
