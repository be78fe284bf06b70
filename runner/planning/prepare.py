"""Prepares a job: checks everything that can be checked before anything is written or sent."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from jobs.addresses import is_url
from jobs.cost import Prices
from jobs.rows import resolve_params
from runner.config.credentials import ResolvedEndpoint, find_key, key_source, resolve_endpoint
from runner.config.job_secrets import check_secrets
from runner.config.out_folder import out_folder
from runner.http.network import Network
from runner.manifest.held_files import HeldFiles
from runner.manifest.open import open_manifest
from runner.manifest.records import ManifestError
from runner.planning.recorded_rows import recorded_rows
from runner.planning.row_stream import RowStream, request_defaults
from schemas.errors import JobError
from schemas.job import Job
from schemas.output_folder import LEDGER_NAME
from schemas.providers import PROFILES, SIMULATED_KEY, PriceTable, Profile
from schemas.reports import SIMULATED, Service
from schemas.request import FIELDS


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """A job whose manifest is open and whose endpoint and key are known."""

    job: Job
    endpoint: ResolvedEndpoint
    key: str
    row_stream: RowStream
    out: Path
    run_id: str
    network: Network = field(default_factory=Network)
    key_from: str | None = ""

    @property
    def service(self) -> Service:
        """Where requests go, with which model and key."""
        model = dict(self.row_stream.defaults.fields)["model"]
        endpoint = SIMULATED if self.job.simulate else self.endpoint.base_url
        return Service(self.endpoint.profile.name, endpoint, str(model), self.key_from)

    @property
    def prices(self) -> Prices:
        """What an image or a token costs here."""
        return Prices(self.job.budget.price, _own_table(self.job) or self.endpoint.profile.prices)


def _own_table(job: Job) -> PriceTable | None:
    own = job.endpoint.prices
    if own is None:
        return None
    per_image = {(price.model, price.size, price.quality): price.usd for price in own.image}
    return PriceTable(
        own.source, own.date, per_image, own.input_per_million / 1e6, own.output_per_million / 1e6
    )


def prepare(job: Job, *, sends: bool = True, holds: bool = False, recorded: bool = False) -> PreparedJob:
    """Check the job's manifest, endpoint and key. sends: whether requests will follow, so that a key is needed.

    holds: keep the manifest as it is now, whatever becomes of its files. recorded: take the rows that the folder has on
    record where the manifest cannot be read.
    Raises JobError (exit 2).
    """
    if job.manifest is None:
        raise JobError("no manifest", fix="name a manifest or a job file: imagemill run prompts.csv")
    environ, cwd = dict(os.environ), Path.cwd()
    profile = PROFILES[job.endpoint.profile]
    key, network = SIMULATED_KEY, Network()
    key_from: str | None = ""
    if job.simulate:
        endpoint = ResolvedEndpoint(profile.base_url, profile, "simulator")
    else:
        endpoint = resolve_endpoint(job, environ, cwd=cwd)
        if sends:
            found = find_key(job.endpoint, environ=environ, cwd=cwd)
            key, key_from = found.value, found.source
            check_secrets(job, key)
            network = Network.from_settings(job.endpoint, environ, cwd=cwd)
        else:
            key_from = key_source(job.endpoint, environ=environ, cwd=cwd)
    row_stream = _row_stream(job, job.manifest, endpoint.profile, holds=holds, recorded=recorded)
    run_id, out = new_run(job)
    ready = PreparedJob(job, endpoint, key, row_stream, out, run_id, network, key_from)
    if job.budget.max_cost is not None and ready.prices.per_image is None and ready.prices.table is None:
        raise JobError(
            "--max-cost needs a price, and none is known for this endpoint", fix="add --price USD (an image)"
        )
    return ready


def _row_stream(job: Job, source: str, profile: Profile, *, holds: bool, recorded: bool) -> RowStream:
    defaults = request_defaults(job, profile)
    _, out = new_run(job)
    has_ledger = (out / LEDGER_NAME).exists()
    held = HeldFiles() if holds else None
    try:
        manifest = open_manifest(source, prompt_col=job.columns.prompt, id_col=job.columns.id, held=held)
        found = RowStream(manifest, job, defaults)
        if recorded:
            refuse_empty(found)
        return found
    except ManifestError as error:
        if recorded and has_ledger:
            return recorded_rows(out, job, defaults)
        if is_url(source) or Path(source).exists() or not has_ledger:
            raise
        fix = f"{error.fix}; where it has moved: imagemill run MANIFEST --out {out} goes on with it"
        raise ManifestError(error.message, fix=fix) from error


def refuse_empty(row_stream: RowStream) -> None:
    """Raises ManifestError (exit 2) for a manifest without a single row, unless the job says that there may be none."""
    if not (row_stream.job.input.allow_empty or any(map(len, row_stream.manifest.batches()))):
        raise no_rows(row_stream.manifest.label)


def refuse_defaults(row_stream: RowStream) -> None:
    """Raises JobError (exit 2) where the job's own request defaults cannot be sent, and no column of the manifest can make
    a row that can. Otherwise every row would say the same."""
    columns = row_stream.manifest.columns
    if any(name in columns for name in FIELDS):
        return
    problem = resolve_params((), row_stream.defaults, columns).problem
    if problem is not None:
        raise JobError(
            f"no row can be sent: {problem}", fix="change these request defaults; nothing was sent"
        )


def no_rows(label: str) -> ManifestError:
    """What is said of a manifest without rows."""
    return ManifestError(
        f"{label} has no rows: nothing is asked for",
        fix="see how it was written; where it may be empty: --set input.allow_empty=true",
    )


def refuse_changed(row_stream: RowStream) -> None:
    """Raises ManifestError (exit 2) where the manifest has changed since it was opened, before anything was sent of it."""
    change = row_stream.manifest.changed()
    if change is not None:
        raise ManifestError(f"{change} while it was opened", fix="run the same command again")


def new_run(job: Job) -> tuple[str, Path]:
    """A run id (`20261122-151130-4fa2c1`) and the job's output folder for it."""
    now = datetime.now().astimezone()
    run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    return run_id, out_folder(job, today=now.date(), run_id=run_id)
