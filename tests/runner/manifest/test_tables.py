"""Names of columns: repeats are told apart, but for those that say what is sent."""

from __future__ import annotations

import pytest

from runner.manifest.records import ManifestError
from runner.manifest.tables import unique_names


def test_repeated_names_are_numbered() -> None:
    assert unique_names(["a", "a", "", "a_2"], "m.csv") == ("a", "a_3", "column_3", "a_2")


@pytest.mark.parametrize("name", ["prompt", "id", "size"])
def test_two_columns_that_say_what_is_sent_are_refused(name: str) -> None:
    """Which one is meant decides what is paid for."""
    with pytest.raises(ManifestError) as refused:
        unique_names(["mood", name, name], "m.csv")
    assert f"m.csv has 2 columns named {name!r}" in str(refused.value)
