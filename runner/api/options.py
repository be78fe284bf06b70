"""The keyword arguments of the Python calls: the options of the commands, with `_` for `-`.

`tests/runner/api/test_options.py` holds them against the commands' own tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from os import PathLike
from typing import Any, Literal, TypeAlias, TypedDict

AnyPath: TypeAlias = str | PathLike[str]
Time: TypeAlias = float | str
"""Seconds, or a text such as `90s`, `10m`, `6h`."""
Progressing: TypeAlias = Literal["auto", "rich", "plain", "none"]


class ReportOptions(TypedDict, total=False):
    """Options of `report`. sample: rows of each folder. dest: its folder, or its single file."""

    where: str | None
    sample: int | None
    seed: int
    dest: AnyPath | None
    single_file: bool
    png: bool


class SharedOptions(TypedDict, total=False):
    """Options of `run`, `plan` and `retry`. USD, seconds, a minute's requests, images and tokens.

    param: body fields without an option of their own. set: job keys (`{"limits.window_s": 10}`).
    """

    model: str
    size: str
    quality: str
    background: str
    moderation: str
    output_format: str
    output_compression: int
    response_format: str
    param: Mapping[str, Any]
    profile: str
    base_url: str
    allow_http: bool
    dialect: str
    api_key_env: str
    timeout: Time
    rpm: float
    ipm: float
    tpm: float
    concurrency: int
    max_cost: float
    max_requests: int
    price: float
    attempts: int
    on_ambiguous: Literal["park", "retry"]
    ambiguous_budget: int
    give_up: Time
    canary: int
    max_error_rate: float
    max_duration: Time
    drain: Time
    wait_lock: Time
    deadline: str
    progress: Progressing
    set: Mapping[str, Any]


class RunOptions(SharedOptions, total=False):
    """Options of `run`, and of `plan`. n: images of each prompt. out: the folder, a new one or one to go on in."""

    limit: int
    sample: int
    seed: int
    prompt_col: str
    id_col: str
    distinct: str
    on_change: Literal["stop", "keep", "regenerate"]
    n: int
    simulate: bool
    new_endpoint: bool
    date: date | str
    out: AnyPath
    metrics_file: AnyPath
    notify: list[str]
    ping_url: str
    log_format: Literal["console", "json"]


class SelectionOptions(TypedDict, total=False):
    """Which rows `retry` sends; all that is given must hold of a row.

    error: kinds of failures. where: an SQL expression over the columns of results.parquet. since: last sent then or later;
    an age (`2h`, a timedelta) or a moment. rows: ids, or a file that has them. yes: pay again for pictures that are there.
    """

    error: str | Iterable[str]
    where: str
    flag: str | Iterable[str]
    since: str | datetime | timedelta
    rows: AnyPath | Iterable[str]
    picks: AnyPath
    parked: bool
    pending: bool
    succeeded: bool
    missing: bool
    yes: bool


class RetryOptions(SharedOptions, SelectionOptions, total=False):
    """Options of `retry`. set: fields of requests too: `{"prompt": "{prompt}, watercolour"}`."""


class ExportOptions(TypedDict, total=False):
    """Options of `export`. shard_mb: 1 to 500. columns: of the results, in this order."""

    where: str
    picks: AnyPath
    sample: int
    seed: int
    columns: Iterable[str]
    name: str
    metadata: Literal["parquet", "jsonl"]
    split: str
    license: str
    index: str
    subset: str
    shard_mb: int
    copy: bool
    push: str
