"""G0 and "Inputs": every odd manifest comes out as its records, or as one message that says what to do."""

from __future__ import annotations

import pytest

from schemas.errors import ExitCode, JobError
from tests.runner.manifest.conftest import Reader
from tests.support.odd_manifests.case import Odd
from tests.support.odd_manifests.csv_structure import CSV_STRUCTURE
from tests.support.odd_manifests.csv_values import CSV_VALUES
from tests.support.odd_manifests.jsons import JSONS
from tests.support.odd_manifests.parquets import PARQUETS
from tests.support.odd_manifests.texts import TEXTS
from tests.support.odd_manifests.tsvs import TSVS

ALL = CSV_VALUES + CSV_STRUCTURE + TSVS + JSONS + TEXTS + PARQUETS


@pytest.mark.parametrize("odd", [pytest.param(odd, id=f"{odd.file}: {odd.title}") for odd in ALL])
def test_odd_manifest(odd: Odd, read: Reader) -> None:
    if odd.error is not None:
        with pytest.raises(JobError) as stop:
            read(odd.file, odd.content, **odd.options)
        assert odd.error in f"{stop.value.message} | {stop.value.fix}"
        assert "\n" not in stop.value.message and stop.value.exit_code == ExitCode.USAGE
        return
    found = read(odd.file, odd.content, **odd.options)
    assert found.prompts == list(odd.prompts)
    assert found.malformed.keys() == odd.malformed.keys()
    assert all(part in found.malformed[record] for record, part in odd.malformed.items())
    assert odd.ids is None or found.ids == list(odd.ids)
    assert odd.locations is None or found.locations == list(odd.locations)
    assert odd.extras is None or found.extras == {name: list(values) for name, values in odd.extras.items()}
