"""The job file as a model: every setting with its type, range, default and meaning. Durations are seconds inside.

A setting that is a secret says so in its type (`Secrecy`). Messages, OUT/job.toml, the ledger, the JSON Schema and
redaction ask `secrecy`; nothing else knows which settings are secrets.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.artifacts import Check
from schemas.durations import Duration, Moment, PositiveDuration, parse_list
from schemas.providers import DEFAULT_PROFILE, PROFILES, alternatives
from schemas.reach import Reach, reaches_outside
from schemas.secrecy import Secrecy, secrecy_in

Outside = Annotated[str | None, Reach.OUTSIDE]
PrivateOutside = Annotated[str | None, Secrecy.PRIVATE, Reach.OUTSIDE]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ColumnsTable(_Table):
    """Which manifest column feeds what."""

    prompt: str | None = Field(None, description="column that holds the prompt")
    id: str | None = Field(None, description="column that holds the row's id")


class InputTable(_Table):
    """Which manifest rows take part."""

    limit: int | None = Field(None, ge=1, description="only the first N rows")
    sample: int | None = Field(None, ge=1, description="N rows chosen at random (see seed)")
    seed: int = Field(0, description="seed of sample")
    distinct: str | None = Field(None, description="keep the first row of each value of this column")
    format: Literal["csv", "tsv", "jsonl", "json", "txt", "parquet"] | None = Field(
        None, description="form of a manifest from stdin (-), where its content does not tell"
    )
    allow_empty: bool = Field(False, description="a manifest without a single row is no mistake")


class RequestTable(_Table):
    """Default body fields; a manifest column of the same name overrides them. Only what is set is sent."""

    model: str | None = None
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    moderation: str | None = None
    n: int | None = Field(None, ge=1, le=10)
    output_format: str | None = None
    output_compression: int | None = Field(None, ge=0, le=100)
    response_format: str | None = None
    param: Annotated[dict[str, Any], Secrecy.PRIVATE] = Field(
        default_factory=dict, description="any other body field, sent as it is"
    )


class ImagePrice(_Table):
    """One line of a price table. model: a prefix; size: WIDTHxHEIGHT or `*`."""

    model: str
    size: str = "*"
    quality: str
    usd: float = Field(ge=0)


class PricesTable(_Table):
    """List prices of the endpoint, for estimates and the budget."""

    source: str = Field("your price table", description="shown beside every estimate")
    date: str = Field("undated", description="when the prices were valid")
    image: tuple[ImagePrice, ...] = Field((), description="USD an image, by model, size and quality")
    input_per_million: float = Field(0.0, ge=0, description="USD for a million input tokens")
    output_per_million: float = Field(0.0, ge=0, description="USD for a million output tokens")


class TaskTable(_Table):
    """How a service answers with tasks; what is not set is as `endpoint.dialect` has it. Paths: `data[0].task_id`."""

    submit_path: str | None = Field(None, description="below the base URL")
    submit_query: Annotated[dict[str, str], Secrecy.PRIVATE] = Field(
        default_factory=dict, description="added to the URL"
    )
    submit_body: Annotated[dict[str, Any], Secrecy.PRIVATE] = Field(
        default_factory=dict, description="added to the request's body"
    )
    poll_path: str | None = Field(None, description="below the base URL, or below the host with a leading /")
    id: str | None = Field(None, description="path of the task's id in the first answer")
    status: str | None = Field(None, description="path of the status word")
    images: str | None = Field(None, description="path of the images")
    going: tuple[str, ...] = Field((), description="status words of a task that goes on")
    done: tuple[str, ...] = Field((), description="status words of a task that has its images")
    failed: tuple[str, ...] = Field((), description="status words of a task that has failed")


class EndpointTable(_Table):
    """The service, its key and its deadlines."""

    profile: Annotated[str, Reach.OUTSIDE] = Field(DEFAULT_PROFILE, description=alternatives(PROFILES))
    base_url: Outside = Field(None, description="any other service, up to its version path (…/v1)")
    dialect: str = Field("auto", description="how the service speaks of tasks: auto, sync, or a relay's name")
    task: TaskTable | None = Field(None, description="a way to speak of tasks that imagemill does not know")
    key_header: Annotated[str | None, Secrecy.PRIVATE] = Field(
        None, description="header of the key, when it is not Authorization: Bearer"
    )
    drop_params: tuple[str, ...] = Field((), description="request fields that are not sent")
    rename_params: dict[str, str] = Field(
        default_factory=dict, description="request fields that have another name there"
    )
    api_key_env: PrivateOutside = Field(None, description="environment variable that holds the key")
    api_key_file: PrivateOutside = Field(None, description="file whose first line is the key")
    api_key_command: PrivateOutside = Field(None, description="command that prints the key")
    ca_file: Outside = Field(None, description="certificates (PEM) that are believed besides the system's")
    allow_http: Annotated[bool, Reach.OUTSIDE] = Field(
        False, description="allow plain http to a host that is not this machine"
    )
    download_hosts: Annotated[tuple[str, ...], Reach.OUTSIDE] = Field(
        (), description="hosts (host or host:port) images may come from besides public ones"
    )
    download_own: bool = Field(
        False, description="images come from the endpoint's own host, whatever host their URLs name"
    )
    prices: PricesTable | None = Field(None, description="the service's prices, instead of the profile's")
    timeout: PositiveDuration = Field(600.0, description="one attempt, from send to last byte")
    task_timeout: PositiveDuration = Field(3600.0, description="polling one task, in one run")
    fetch_timeout: PositiveDuration = Field(
        180.0, description="trying to fetch an image that was made, in one run; the next run goes on"
    )
    poll_every: PositiveDuration | None = Field(None, description="pause between polls of one task (4 s)")


class LimitsTable(_Table):
    """What the service allows a minute. No window of `window_s` ever holds more than its share of rpm / ipm / tpm."""

    rpm: float | None = Field(None, gt=0, description="requests a minute")
    ipm: float | None = Field(None, gt=0, description="images a minute")
    tpm: float | None = Field(None, gt=0, description="tokens a minute")
    window_s: PositiveDuration = Field(
        60.0,
        le=60,
        description="the window that services count in, in seconds: with 10, no 10 s hold more than a sixth of a minute's",
    )
    concurrency: int | None = Field(
        None, ge=1, description="most requests in flight; imagemill adapts below it"
    )
    share: str | None = Field(None, description="name of an allowance shared by the runs on this machine")


class BudgetTable(_Table):
    """Money."""

    max_cost: float | None = Field(None, ge=0, description="USD; reserved before each request")
    max_requests: int | None = Field(None, ge=0)
    price: float | None = Field(None, ge=0, description="USD an image, where the service has no price table")
    cutoff: Literal["hard", "soft"] = Field(
        "hard", description="reserve the worst case of a request, or its estimate"
    )


class RetryTable(_Table):
    """What happens after a failure."""

    attempts: int = Field(5, ge=1, le=100, description="requests for a row at most, safe failures only")
    on_ambiguous: Literal["park", "retry"] = "park"
    ambiguous_budget: int = Field(
        0, ge=0, description="requests that on_ambiguous=retry may send again, in all"
    )
    give_up: PositiveDuration = Field(
        600.0, description="no success and nothing but refusals for so long: stop"
    )
    moderation: int = Field(
        0, ge=0, le=10, description="send a refused row again so often; each time may be paid for"
    )


class RunTable(_Table):
    """When and how the run ends."""

    max_duration: PositiveDuration | None = None
    drain: Duration = Field(120.0, description="wait for answers in flight after Ctrl-C")
    wait_lock: Duration = Field(0.0, description="wait for another run of this folder")
    on_change: Literal["stop", "keep", "regenerate"] = Field(
        "stop", description="rows edited since their image was made or may have been paid for"
    )
    deadline: Moment | None = Field(
        None, description="end the run at this local time (06:00) or ISO date and time, resumable"
    )
    new_endpoint: Annotated[bool, Reach.OUTSIDE] = Field(
        False, description="go on in a folder whose images came from another service; said once, not kept"
    )
    carry_over: int = Field(
        7,
        ge=0,
        description="with {date} in out: days back whose unfinished folders are finished first; 0: none",
    )
    canary: int | None = Field(None, ge=1, description="send N rows first, and stop when all of them fail")
    max_error_rate: float | None = Field(
        None, gt=0, le=1, description="stop when more of the last 100 outcomes (20 at least) are failures"
    )
    first_contact: PositiveDuration = Field(
        30.0, description="a service that has never answered for so long: stop"
    )
    max_unusable: int = Field(
        20,
        ge=0,
        description="answers in a row, paid for and without an image, that stop the run (3 at its start); 0: never",
    )
    metrics_file: Outside = Field(None, description="figures for Prometheus' textfile collector")
    ping_url: Annotated[str | None, Secrecy.SECRET, Reach.OUTSIDE] = Field(
        None, description="asked at start (…/start), success, and failure (…/exit code); or env:NAME"
    )


class NotifyTable(_Table):
    """Who is told of a run's end."""

    urls: Annotated[tuple[str, ...], BeforeValidator(parse_list), Secrecy.SECRET, Reach.OUTSIDE] = Field(
        (), description="apprise URLs, or env:NAME of a variable that holds one"
    )
    on: Literal["always", "failure", "never"] = Field("failure", description="failure: any exit code but 0")


class OutputTable(_Table):
    """What is kept and shown."""

    max_pixels: int = Field(64_000_000, ge=1, description="an image with more is bad_content")
    check: Literal["decode", "structure"] = Field(
        "decode", description="an image's pixels are decoded; structure: of a PNG only checksums and end"
    )
    max_image_bytes: int = Field(
        256 * 2**20, ge=1024, description="a response or image with more is not kept whole"
    )
    progress: Literal["auto", "rich", "plain", "none"] = "auto"
    log_format: Literal["console", "json"] = "console"

    @property
    def image_check(self) -> Check:
        """What is asked of an image."""
        return Check(self.max_pixels, self.check == "decode")


class SimulatorTable(_Table):
    """The embedded simulator of `--simulate`."""

    latency: Duration | None = Field(None, description="median seconds an answer takes")
    rpm: float | None = Field(None, gt=0)
    ipm: float | None = Field(None, gt=0)
    seed: int | None = None
    scenario: Outside = Field(None, description="scenario file (TOML)")
    realistic: bool = Field(
        False,
        description="20 to 60 s an answer, and image files as large as real ones (a PNG: 1.5 to 2.5 MB)",
    )


class Job(_Table):
    """One job: what `imagemill run JOB.toml` reads and what OUT/job.toml records."""

    manifest: Outside = Field(None, description="file, folder, glob or object-store URL; {date}")
    out: Annotated[str, Reach.OUTSIDE] = Field(
        "runs/{manifest_stem}", description="output folder; {date}, {manifest_stem}, {run_id}"
    )
    date: Moment | None = Field(
        None,
        description="the day that {date} means: YYYY-MM-DD, yesterday or today (default: today, local time)",
    )
    simulate: bool = Field(False, description="use the embedded simulator: no key, no cost")
    columns: ColumnsTable = ColumnsTable()
    input: InputTable = InputTable()
    request: RequestTable = RequestTable()
    endpoint: EndpointTable = EndpointTable()
    limits: LimitsTable = LimitsTable()
    budget: BudgetTable = BudgetTable()
    retry: RetryTable = RetryTable()
    run: RunTable = RunTable()
    notify: NotifyTable = NotifyTable()
    output: OutputTable = OutputTable()
    simulator: SimulatorTable = SimulatorTable()


def chooses_outside(key: str) -> bool:
    """Whether the setting of a dotted key chooses a host, a command or a file; see `reaches_outside`."""
    return reaches_outside(Job, key)


def secrecy(key: str) -> Secrecy:
    """How secret the value of a dotted key is; see `secrecy_in`."""
    return secrecy_in(Job, key)
