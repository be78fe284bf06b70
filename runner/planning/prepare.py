"""A job made ready: everything that can be checked before anything is written or sent."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.addresses import is_url
from jobs.cost import Prices
from runner.artifacts.atomic_files import replace_file
from runner.config.credentials import ResolvedEndpoint, find_key, resolve_endpoint
from runner.config.out_folder import out_folder
from runner.ledger.item_index import ItemIndex
from runner.manifest.open import open_manifest
from runner.manifest.records import Manifest, ManifestError
from runner.planning.manifest_diff import census
from runner.planning.row_stream import Intake, request_defaults
from runner.workspace.folder import opened
from schemas.errors import JobError
from schemas.job import Job
from schemas.output_folder import LEDGER_NAME, TEMPORARY
from schemas.providers import PROFILES, SIMULATED_KEY, PriceTable

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_COPY = "manifest.parquet"
"""Where a DataFrame given as manifest is kept, so that status and resume can read it again."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job whose manifest is open and whose endpoint and key are known."""

    job: Job
    endpoint: ResolvedEndpoint
    key: str
    intake: Intake
    out: Path
    run_id: str

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


def prepare(job: Job, *, sends: bool = True) -> Prepared:
    """Check the job's manifest, endpoint and key. sends: whether requests will follow, so that a key is needed.

    Raises JobError (exit 2).
    """
    if job.manifest is None:
        raise JobError("no manifest", fix="name a manifest or a job file: imagemill run prompts.csv")
    environ, cwd = dict(os.environ), Path.cwd()
    profile = PROFILES[job.endpoint.profile]
    key = SIMULATED_KEY
    if job.simulate:
        endpoint = ResolvedEndpoint(profile.base_url, profile, "simulator")
    else:
        endpoint = resolve_endpoint(job, environ, cwd=cwd)
        if sends:
            key = find_key(job.endpoint, environ=environ, cwd=cwd).value
    intake = Intake(_manifest(job, job.manifest), job, request_defaults(job, endpoint.profile))
    run_id, out = new_run(job)
    ready = Prepared(job, endpoint, key, intake, out, run_id)
    if job.budget.max_cost is not None and ready.prices.per_image is None and ready.prices.table is None:
        raise JobError(
            "--max-cost needs a price, and none is known for this endpoint", fix="add --price USD (an image)"
        )
    return ready


def _manifest(job: Job, source: str) -> Manifest:
    try:
        return open_manifest(source, prompt_col=job.columns.prompt, id_col=job.columns.id)
    except ManifestError as error:
        _, out = new_run(job)
        if is_url(source) or Path(source).exists() or not (out / LEDGER_NAME).exists():
            raise
        fix = f"{error.fix}; where it has moved: imagemill run MANIFEST --out {out} goes on with it"
        raise ManifestError(error.message, fix=fix) from error


def new_run(job: Job) -> tuple[str, Path]:
    """A run id (`20261122-151130-4fa2c1`) and the job's output folder for it."""
    now = datetime.now().astimezone()
    run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    return run_id, out_folder(job, today=now.date(), run_id=run_id)


def keep_frame(job: Job, frame: pd.DataFrame) -> Job:
    """Store a DataFrame manifest in the job's folder and make the job read it from there. Raises JobError.

    One that was edited where the job says to stop does not take the place of the one before.
    """
    import pyarrow.parquet as pq

    from runner.manifest.formats.dataframe import arrow_table

    _, out = new_run(job)
    table = arrow_table(frame)

    def keep(name: str) -> Job:
        replace_file(place.folder, name, lambda stream: pq.write_table(table, stream))
        return job.model_copy(update={"manifest": str(out / name), "out": str(out)})

    with opened(out, job, keeps_job=False) as place:
        index = ItemIndex(place.connection)
        if len(index):
            candidate = f"{TEMPORARY}/{MANIFEST_COPY}"
            try:
                census(prepare(keep(candidate), sends=False).intake, place.connection, index).refuse(out)
            finally:
                (out / candidate).unlink(missing_ok=True)
        return keep(MANIFEST_COPY)
