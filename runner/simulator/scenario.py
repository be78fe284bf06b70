"""The scenario file (TOML) as a model; every mistake in it is named at once, with the nearest valid name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from runner.simulator.answers.document import Latency
from runner.simulator.config import P95_TO_MEDIAN, SimulatorConfig
from runner.simulator.dialects import DIALECTS, OFFICIAL
from runner.simulator.faults.content import FORMATS
from runner.simulator.faults.kinds import KINDS, PARAMETERS, Fault, parameters
from runner.simulator.sliding_window import Limits
from runner.simulator.timetable import OUTAGE_KINDS, LimitsChange, Outage
from schemas.durations import Duration, PositiveDuration
from schemas.errors import JobError
from schemas.providers import DEFAULT_PROFILE, PROFILES

SELECTORS = ("match", "rows", "share")
_PARAMETERS = {name for names in PARAMETERS.values() for name in names}


def _nearest(name: str, valid: list[str]) -> str:
    close = get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"valid: {', '.join(valid)}"


def _known_kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"unknown kind {name!r}; {_nearest(name, list(KINDS))}")
    return name


def _outage_kind(name: str) -> str:
    if name not in OUTAGE_KINDS:
        raise ValueError(f"{name!r} is no kind of outage; {_nearest(name, list(OUTAGE_KINDS))}")
    return name


def _known_profile(name: str) -> str:
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; {_nearest(name, list(PROFILES))}")
    return name


def _known_dialect(name: str) -> str:
    if name not in DIALECTS:
        raise ValueError(f"unknown dialect {name!r}; {_nearest(name, list(DIALECTS))}")
    return name


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class LatencyTable(_Table):
    """Seconds that an answer takes, lognormal."""

    median: Duration = Latency().median_s
    p95: Duration | None = Field(None, description="at least the median; default 2.5 times the median")


class LimitsTable(_Table):
    """Strict sliding windows."""

    rpm: float | None = Field(None, gt=0)
    ipm: float | None = Field(None, gt=0)
    window_s: PositiveDuration = 60.0
    announced: bool = Field(True, description="answers carry x-ratelimit-* headers")
    hints: bool = Field(True, description="a 429 says when to come back")


class LimitsChangeTable(_Table):
    """One `[[limits_change]]`: other limits from so many seconds after the first request on."""

    after: Duration
    rpm: float | None = Field(None, gt=0)
    ipm: float | None = Field(None, gt=0)


class OutageTable(_Table):
    """One `[[outage]]`: for so many seconds every request meets this fault."""

    after: Duration
    seconds: PositiveDuration
    kind: Annotated[str, AfterValidator(_outage_kind)]
    retry_after: Annotated[float, Field(ge=0)] | str | None = None


class FaultTable(_Table):
    """One `[[fault]]`."""

    kind: Annotated[str, AfterValidator(_known_kind)]
    match: Annotated[str, AfterValidator(_pattern)] | None = None
    rows: list[Annotated[int, Field(ge=0)]] | None = None
    share: float | None = Field(None, ge=0, le=1)
    times: int | None = Field(None, ge=1)
    delay: Duration | None = None
    billed: bool | None = None
    status: int | None = Field(None, ge=200, le=599)
    code: str | None = None
    message: str | None = None
    retry_after: Annotated[float, Field(ge=0)] | str | None = None
    at_byte: int | None = Field(None, ge=0)
    location: str | None = None
    polls: int | None = Field(None, ge=1, description="polls of a task that meet the fault")
    format: Literal[FORMATS] | None = None  # type: ignore[valid-type]


class ScenarioFile(_Table):
    """The whole file."""

    seed: int = 0
    profile: Annotated[str, AfterValidator(_known_profile)] = DEFAULT_PROFILE
    dialect: Annotated[str, AfterValidator(_known_dialect)] = OFFICIAL
    latency: LatencyTable = LatencyTable()
    limits: LimitsTable = LimitsTable()
    limits_change: list[LimitsChangeTable] = Field(default_factory=list)
    outage: list[OutageTable] = Field(default_factory=list)
    fault: list[FaultTable] = Field(default_factory=list)


def read_scenario(document: dict[str, Any], name: str) -> SimulatorConfig:
    """The configuration in a parsed file. name: the file's, for messages. Raises JobError with every mistake."""
    mistakes = _crosswise_mistakes(document)
    try:
        scenario = ScenarioFile.model_validate(document)
    except ValidationError as error:
        found = [_worded(dict(item)) for item in error.errors()]
        raise _refused(name, [*found, *mistakes]) from None
    if mistakes:
        raise _refused(name, mistakes)
    return _config(scenario)


def _refused(name: str, mistakes: list[str]) -> JobError:
    count = f"{len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}"
    return JobError(
        "\n  ".join([f"{name}: {count}", *mistakes]), fix="`imagemill simulate --list-faults` lists the kinds"
    )


def _path(where: tuple[int | str, ...]) -> str:
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_TABLES: dict[str, type[_Table]] = {
    "latency": LatencyTable,
    "limits": LimitsTable,
    "limits_change": LimitsChangeTable,
    "outage": OutageTable,
    "fault": FaultTable,
}


def _worded(item: dict[str, Any]) -> str:
    """One line for one pydantic error."""
    where = tuple(part for part in item["loc"] if part not in ("float", "str"))
    if item["type"] != "extra_forbidden":
        return f"{_path(where)}: {_reason(item)}"
    table = _TABLES[str(where[0])] if len(where) > 1 else ScenarioFile
    return f"{_path(where)}: unknown key; {_nearest(str(where[-1]), list(table.model_fields))}"


_REASONS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text (in quotes)",
    "bool_type": "must be true or false",
    "list_type": "must be a list, such as [[fault]] or [1, 2]",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} at most",
    "literal_error": "must be {expected}",
}
"""What pydantic's types of errors are in our words; what is of our own is told as it is."""


def _reason(item: dict[str, Any]) -> str:
    worded = _REASONS.get(item["type"])
    return (
        str(item["msg"]).removeprefix("Value error, ")
        if worded is None
        else worded.format(**item.get("ctx", {}))
    )


def _crosswise_mistakes(document: dict[str, Any]) -> list[str]:
    """Mistakes that concern several keys: selectors, parameters of another kind, p95 below the median."""
    mistakes = []
    faults = document.get("fault")
    for place, fault in enumerate(faults if isinstance(faults, list) else []):
        if isinstance(fault, dict):
            mistakes += [f"fault[{place}]{text}" for text in _fault_mistakes(fault)]
    mistakes += _timetable_mistakes(document.get("limits_change"), document.get("outage"))
    latency = document.get("latency")
    if isinstance(latency, dict):
        median, p95 = latency.get("median", Latency().median_s), latency.get("p95")
        if isinstance(median, int | float) and isinstance(p95, int | float) and p95 < median:
            mistakes.append(f"latency.p95: {p95:g} is below the median, {median:g}")
    return mistakes


def _timetable_mistakes(changes: Any, outages: Any) -> list[str]:
    mistakes = [
        f"limits_change[{place}]: needs rpm or ipm"
        for place, change in enumerate(changes if isinstance(changes, list) else [])
        if isinstance(change, dict) and not {"rpm", "ipm"} & change.keys()
    ]
    for place, outage in enumerate(outages if isinstance(outages, list) else []):
        kind = KINDS.get(str(outage.get("kind"))) if isinstance(outage, dict) else None
        if kind is not None and "retry_after" in outage and "retry_after" not in parameters(kind):
            mistakes.append(f"outage[{place}].retry_after: kind {kind.name!r} takes no such parameter")
    return mistakes


def _fault_mistakes(fault: dict[str, Any]) -> list[str]:
    mistakes = []
    chosen = [name for name in SELECTORS if name in fault]
    if len(chosen) != 1:
        mistakes.append(f": needs exactly one of match, rows, share; has {' and '.join(chosen) or 'none'}")
    kind = KINDS.get(str(fault.get("kind")))
    if kind is not None:
        taken = parameters(kind)
        mistakes += [
            f".{name}: kind {kind.name!r} takes no such parameter, only {', '.join(taken)}"
            for name in fault
            if name in _PARAMETERS and name not in taken
        ]
    return mistakes


def _config(scenario: ScenarioFile) -> SimulatorConfig:
    median = scenario.latency.median
    p95 = median * P95_TO_MEDIAN if scenario.latency.p95 is None else scenario.latency.p95
    faults = tuple(
        Fault(**(dict(table) | {"rows": None if table.rows is None else frozenset(table.rows)}))
        for table in scenario.fault
    )
    return SimulatorConfig(
        seed=scenario.seed,
        profile=scenario.profile,
        dialect=scenario.dialect,
        latency=Latency(median, max(p95, median)),
        limits=Limits(**dict(scenario.limits)),
        limits_changes=tuple(
            LimitsChange(table.after, table.rpm, table.ipm) for table in scenario.limits_change
        ),
        outages=tuple(
            Outage(table.after, table.seconds, Fault(table.kind, retry_after=table.retry_after))
            for table in scenario.outage
        ),
        faults=faults,
    )
