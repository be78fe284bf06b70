"""The objects of `--json`, command by command, for `imagemill schema summary` and whoever reads them."""

from __future__ import annotations

from typing import Any, Required

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from schemas.listings import FailureGroup, FolderState, PastRun, VerifyProblem
from schemas.manifest_diff import ManifestChanges
from schemas.reports import BudgetCover, CostRange, InvalidRow, RunWarning, Service
from schemas.summary import Summary

Document = dict[str, Any]


class Report(TypedDict, total=False):
    """What every object has, and what those of failures have besides. exit_reason: "" where all went as asked.

    error, fix, mistakes: of a command that failed; mistakes: of a job file, each for itself.
    """

    imagemill: Required[str]
    command: Required[str]
    exit_code: Required[int]
    exit_reason: Required[str]
    warnings: Required[list[RunWarning]]
    error: str
    fix: str
    mistakes: list[str]


class Planned(Report):
    """`plan`, and `run --dry-run`. rows: of the manifest; images, requests: still to make and to send.

    done, invalid, parked: rows. duration_s: null where nothing bounds it. budget: null where there is none.
    """

    out: Required[str]
    simulated: Required[bool]
    rows: Required[int]
    images: Required[int]
    requests: Required[int]
    done: Required[int]
    invalid: Required[int]
    parked: Required[int]
    cost_usd: Required[CostRange]
    duration_s: Required[float | None]
    binding_limit: Required[str]
    changes: Required[ManifestChanges | None]
    service: Required[Service | None]
    budget: Required[BudgetCover | None]
    invalid_rows: Required[list[InvalidRow]]


class Init(Report):
    """`init`. written, kept: names of files in the folder. next: what to type."""

    folder: Required[str]
    written: Required[list[str]]
    kept: Required[list[str]]
    next: Required[str]


class Failure(Report):
    """Any command that failed."""


class OfFolder(Report):
    """About one output folder."""

    out: Required[str]
    simulated: Required[bool]


class Verify(OfFolder):
    """`verify`. notes: leftovers of a run that was killed, which are no damage. repaired: problems that are gone."""

    checked: Required[int]
    problems: Required[list[VerifyProblem]]
    notes: Required[list[dict[str, str]]]
    repaired: Required[int]


class DamagedImage(TypedDict):
    """An image that was not exported because its file is gone or of another size."""

    row_id: str
    image_index: int
    file_name: str
    problem: str


class Export(OfFolder):
    """`export`. images: csv: lines. files, bytes: in dest. linked: files that share their blocks with OUT.

    without_image: chosen results rows that have none. stale_picks: picks of images that are others by now.
    pushed: where to; "" for nowhere.
    """

    dest: Required[str]
    to: Required[str]
    images: Required[int]
    files: Required[int]
    bytes: Required[int]
    linked: Required[int]
    without_image: Required[int]
    stale_picks: Required[int]
    damaged: Required[list[DamagedImage]]
    notes: Required[list[str]]
    pushed: Required[str]


class BuiltReport(OfFolder):
    """`report`. rows: results rows in it; images: those that succeeded; failures: failed, parked and invalid ones.

    dest: its folder, or its single file; page: what to open in a browser; charts: pictures beside it (--png).
    """

    dest: Required[str]
    page: Required[str]
    rows: Required[int]
    images: Required[int]
    failures: Required[int]
    charts: Required[list[str]]


class FailureObject(TypedDict):
    """A results row that is not fine; fields as the columns of results.parquet."""

    row_id: str
    row: int
    image_index: int
    status: str
    prompt: str | None
    error_kind: str
    error_code: str | None
    error_message: str | None
    http_status: int | None
    attempts: int
    attempt: int | None
    maybe_billed: int
    request_id: str | None


class Failures(OfFolder):
    """`failures`. unsent: results rows that wait for their turn and are not listed."""

    failures: Required[list[FailureObject]]
    groups: Required[list[FailureGroup]]
    unsent: Required[int]


class Runs(Report):
    """`runs`, the newest first."""

    runs: Required[list[PastRun]]


class Folders(Report):
    """`ls`."""

    folders: Required[list[FolderState]]


class History(OfFolder):
    """`history`: runs, oldest first, and rows with every attempt. more_rows: how many are left out."""

    runs: Required[list[Document]]
    rows: Required[list[Document]]
    more_rows: Required[int]


class KeptFile(TypedDict):
    """A superseded file that `prune` leaves."""

    path: str
    reason: str


class Prune(OfFolder):
    """`prune`. removed: whether anything was. files: superseded images, relative to OUT; bytes: their size."""

    images: Required[int]
    bytes: Required[int]
    removed: Required[bool]
    files: Required[list[str]]
    kept: Required[list[KeptFile]]
    leftover: Required[int]


class Check(TypedDict):
    """One check of `doctor`. level: ok, warn or fail."""

    name: str
    level: str
    detail: str


class Doctor(Report):
    """`doctor`, with the exit code of the first check that failed."""

    checks: Required[list[Check]]


class Schedule(Report, total=False):
    """`schedule`: units by file name and how to install them, or a cron line."""

    line: str
    folder: str
    files: dict[str, str]
    install: list[str]


class Simulate(Report, total=False):
    """`simulate`, at its end, or with --list-faults."""

    faults: list[Document]


class Schema(Report, total=False):
    """`schema`."""

    schema: Document
    table: str
    columns: list[dict[str, str]]


class Help(Report, total=False):
    """`help`: the pages, or one of them."""

    topics: list[dict[str, str]]
    topic: str
    title: str
    text: str


OBJECTS: dict[str, Any] = {
    "run": Summary,
    "plan": Planned,
    "retry": Summary,
    "retry --dry-run": Planned,
    "status": Summary,
    "failures": Failures,
    "report": BuiltReport,
    "verify": Verify,
    "export": Export,
    "runs": Runs,
    "ls": Folders,
    "history": History,
    "prune": Prune,
    "doctor": Doctor,
    "schedule": Schedule,
    "simulate": Simulate,
    "schema": Schema,
    "help": Help,
    "init": Init,
    "version": Report,
    "failure": Failure,
}
"""Command -> what it prints. `failure`: any of them where it fails."""


def json_schema() -> Document:
    """JSON Schema (draft 2020-12): one definition a command."""
    found: Document = {}
    shared: Document = {}
    for command, kind in OBJECTS.items():
        schema = TypeAdapter(kind).json_schema(ref_template="#/$defs/{model}", mode="serialization")
        shared |= schema.pop("$defs", {})
        found[command] = schema | {"additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What imagemill prints with --json",
        "$defs": shared | {"commands": {"properties": found}},
        "anyOf": [{"$ref": f"#/$defs/commands/properties/{command}"} for command in found],
    }
