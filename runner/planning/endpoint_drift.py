"""A folder whose images came from one service, and a run that would go to another, with all its prompts."""

from __future__ import annotations

from urllib.parse import urlsplit

from runner.ledger.reader import LedgerReader
from runner.planning.prepare import PreparedJob
from schemas.errors import JobError


def other_endpoint(ready: PreparedJob, ledger: LedgerReader) -> str | None:
    """The service that the folder's last paid answers came from, where this run would go to another; None: the same, or
    none yet, or the job says that it is meant (`--new-endpoint`)."""
    if ready.job.simulate or ready.job.run.new_endpoint:
        return None
    last = ledger.last_endpoint()
    if last is None or _place(last) in (None, _place(ready.endpoint.base_url)):
        return None
    return last


def told(last: str, ready: PreparedJob) -> str:
    """What is said of it."""
    return f"the images in {ready.out} came from {last}, and this run would go to {ready.endpoint.base_url}"


def refuse_other_endpoint(ready: PreparedJob, ledger: LedgerReader) -> None:
    """Raises JobError (exit 2) where the run would go to another service than the folder's last one, unasked."""
    last = other_endpoint(ready, ledger)
    if last is not None:
        raise JobError(
            told(last, ready),
            fix=f"add --base-url {last} to go on there, or --new-endpoint where the change is meant",
        )


def _place(base_url: str) -> tuple[str, int | None] | None:
    """Host and port, which tell services apart; None for what is no URL (`unknown`, of a ledger that was lost)."""
    parts = urlsplit(base_url)
    return None if parts.hostname is None else (parts.hostname, parts.port)
