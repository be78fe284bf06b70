"""Keywords of `runner.retry` become the request that the command makes of its options."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from runner.api.retry_request import retry_request
from schemas.errors import JobError
from schemas.failures import FailureKind


@pytest.mark.parametrize(
    "rows",
    [
        ["a", "b"],
        ("a", "b"),
        pd.Series(["a", "b"]),
        pd.DataFrame({"row_id": ["a", "b"]}),
        pd.DataFrame({"id": ["a", "b"]}),
    ],
)
def test_rows_in_every_form(rows: object) -> None:
    assert retry_request({"rows": rows}).selection.row_ids == frozenset({"a", "b"})


def test_rows_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a\nb\n")
    request = retry_request({"rows": tmp_path / "ids.txt"})
    assert request.selection.row_ids == frozenset({"a", "b"})
    assert request.typed == {"rows": str(tmp_path / "ids.txt")}


@pytest.mark.parametrize("rows", [[], pd.DataFrame({"name": ["a"]})])
def test_rows_that_name_none_are_refused(rows: object) -> None:
    with pytest.raises(JobError, match="rows: "):
        retry_request({"rows": rows})


def test_moments_and_ages() -> None:
    moment = datetime(2026, 11, 20, 2, tzinfo=UTC)
    ms = int(moment.timestamp() * 1000)
    assert retry_request({"since": moment}).selection.since_ms == ms
    assert retry_request({"since": "2026-11-20T02:00+00:00"}).selection.since_ms == ms
    an_age = retry_request({"since": timedelta(hours=2)}).selection.since_ms
    the_same = retry_request({"since": "2h"}).selection.since_ms
    assert an_age is not None and the_same is not None and 0 <= the_same - an_age < 60_000


def test_selections_fields_and_settings() -> None:
    request = retry_request(
        {
            "error": "moderation",
            "flag": ["edited"],
            "parked": True,
            "yes": True,
            "size": "64x64",
            "rpm": 7,
            "set": {"prompt": 'a "{prompt}"\n', "limits.window_s": 10},
            "param": {"seed": 5, "user": "me", "style": ["a"]},
        }
    )
    chosen = request.selection
    assert (chosen.kinds, chosen.flags, chosen.parked) == (
        frozenset({FailureKind.MODERATION}),
        frozenset({"edited"}),
        True,
    )
    fields = dict(request.overrides.fields)
    assert (fields["prompt"].texts, fields["prompt"].columns) == (('a "', '"\n'), ("prompt",))
    assert fields["size"].texts == ("64x64",)
    assert request.settings == {
        "limits.rpm": 7,
        "limits.window_s": "10",
        "request.param.seed": 5,
        "request.param.user": "me",
        "request.param.style": ["a"],
    }
    assert request.yes and request.typed == {"error": "moderation", "flag": ["edited"], "parked": True}


@pytest.mark.parametrize(
    ("name", "said"),
    [("eror", "did you mean 'error'"), ("simulate", "unknown option 'simulate'"), ("n", "'n'")],
)
def test_what_is_no_option_of_retry(name: str, said: str) -> None:
    with pytest.raises(JobError, match=said):
        retry_request({name: True})
