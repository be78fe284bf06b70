"""Fixtures that several folders of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commandline import CommandLine

pytest_plugins = ("tests.canary",)

CHECKOUT = Path(__file__).resolve().parents[1]


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
