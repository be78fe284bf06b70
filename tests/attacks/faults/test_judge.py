"""The judge itself: a run that does right passes, and each way of doing wrong is named."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.results import RESULTS_SCHEMA
from tests.attacks.faults import checks
from tests.attacks.faults.catalogue import FAULTS
from tests.attacks.faults.drive import KEY, Planned, Ran
from tests.attacks.faults.exchange import SIGNATURE
from tests.attacks.faults.journal import Event, History, prompt_hash
from tests.attacks.faults.judge import Evidence, judge_fault
from tests.attacks.faults.pictures import picture

FAULT = FAULTS["gateway_502_html"]
FINE = FAULTS["b64_wrapped"]


def event(name: str, fault: Any, **fields: Any) -> Event:
    return {
        "event": name,
        "time": 1.0,
        "listener": "endpoint",
        "prompt_hash": prompt_hash(fault.prompt),
        "path": "/v1/images/generations",
        "idempotency_key": "one",
        "seq": 1,
        "exchange": 1,
        "status": 200,
        "images": 1,
        "body_sha256": ["00"],
        **fields,
    }


def ran(tmp_path: Path, fault: Any, events: list[str], **record: Any) -> Ran:
    """A run of one row: what the server journalled and what the results table says."""
    row = {
        "row_id": "a",
        "row": 0,
        "image_index": 0,
        "prompt": fault.prompt,
        "attempts": 1,
        "maybe_billed": 0,
    }
    out = tmp_path / "out"
    (out / "images").mkdir(parents=True)
    data = picture(fault.prompt)
    if record.get("status") == "succeeded":
        (out / "images" / "a.png").write_bytes(data)
        row |= {"file_name": "images/a.png", "sha256": hashlib.sha256(data).hexdigest()}
    table = pa.Table.from_pylist([row | record], schema=RESULTS_SCHEMA)
    pq.write_table(table, out / "results.parquet")
    rows = (Planned(0, fault.prompt, fault.fields, fault),)
    history = History(tuple(event(name, fault) for name in events))
    return Ran("alone", rows, out, 3, b"", b"", history, {}, 0)


def problems(run: Ran, fault: Any) -> str:
    return "; ".join(judge_fault(Evidence(run), fault).problems)


PARKED = {"status": "parked", "error_kind": "gateway", "maybe_billed": 1}
PAID = ["request", "charged", "flushed"]


def test_a_required_end_passes(tmp_path: Path) -> None:
    assert problems(ran(tmp_path, FAULT, ["request", "charged"], **PARKED), FAULT) == ""


def test_a_kept_picture_passes(tmp_path: Path) -> None:
    assert problems(ran(tmp_path, FINE, PAID, status="succeeded"), FINE) == ""


@pytest.mark.parametrize(
    ("events", "record", "named"),
    [
        (["request", "charged"], {**PARKED, "status": "failed"}, "failed/gateway, not parked/gateway"),
        (["request", "charged"], {**PARKED, "maybe_billed": 0}, "charged 1 times, 0 show"),
        (["request", "charged"] * 2, {**PARKED, "maybe_billed": 2}, "paid 2 times"),
        (["request"] * 3, PARKED, "requests 3, not 1"),
    ],
)
def test_hidden_and_double_payments_are_named(
    tmp_path: Path, events: list[str], record: dict[str, Any], named: str
) -> None:
    assert named in problems(ran(tmp_path, FAULT, events, **record), FAULT)


def test_a_picture_of_another_row_is_named(tmp_path: Path) -> None:
    run = ran(tmp_path, FINE, PAID, status="succeeded")
    other = picture("another prompt")
    (run.out / "images" / "a.png").write_bytes(other)
    assert "differs from its recorded sha256" in problems(run, FINE)


def test_a_missing_row_is_named(tmp_path: Path) -> None:
    run = ran(tmp_path, FINE, PAID, status="succeeded", image_index=1)
    assert "results rows" in problems(run, FINE)
    assert checks.every_row_is_there(run)


def test_canaries_are_found_in_files_and_output(tmp_path: Path) -> None:
    run = ran(tmp_path, FINE, PAID, status="succeeded")
    log = run.out / "ledger.sqlite-wal"
    log.write_bytes(b"\0" + KEY.encode() + b"\0" + SIGNATURE.encode())
    leaky = replace(run, stderr=KEY.encode())
    assert checks.key_is_nowhere(leaky) == ["key in out/ledger.sqlite-wal", "key in stderr"]
    assert checks.signature_is_nowhere(run) == []
    log.rename(run.out / "job.toml")
    assert checks.signature_is_nowhere(run) == ["signed query in job.toml"]
    (run.out / "job.toml").unlink()
    assert checks.key_is_nowhere(run) == []


def test_going_abroad_is_named(tmp_path: Path) -> None:
    run = ran(tmp_path, FINE, PAID, status="succeeded")
    abroad = event("get", FINE, listener="port", credentials=["authorization"])
    run = replace(run, history=History((*run.history.events, abroad)))
    assert checks.nobody_abroad(run) == ["1 events at port", "credentials at /v1/images/generations"]


def test_files_that_no_row_names_are_found(tmp_path: Path) -> None:
    run = ran(tmp_path, FINE, PAID, status="succeeded")
    assert checks.files_are_accounted_for(run) == []
    (run.out / "images" / "b.png").write_bytes(b"x")
    assert checks.files_are_accounted_for(run)
