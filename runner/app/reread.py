"""The use case of `retry --reread`: paid bodies in quarantine are looked at again, and nothing is sent."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path

from runner.config.loader import read_out_job
from runner.ledger.completion_cache import NOTHING_COMPLETED
from runner.planning.prepare import prepare
from runner.process.clock import wall_ms
from runner.process.version import VERSION
from runner.results.summary import Ended, conclude, folder_summary, nothing_sent
from runner.results.table import ResultsTable
from runner.retry.reread import reread
from runner.text.wording import count_text
from runner.workspace.folder import open_workspace
from schemas.summary import Summary

COMMAND = '{"command": "retry", "select": {"reread": true}}'
"""How the ledger records it, where something was found."""


def reread_folder(out: Path) -> Summary:
    """Save the images that paid bodies in OUT/quarantine hold by the rules of today, under their rows.

    Where nothing is found the folder stays as it is, and the exit code is 0. Raises JobError when it is no imagemill
    folder, or another command holds it.
    """
    started = time.monotonic()
    ready = prepare(read_out_job(out), sends=False, holds=True, recorded=True)
    with open_workspace(out, ready.job) as opened:
        found = reread(ready, opened)
        workspace = opened._replace(completed=NOTHING_COMPLETED)
        ledger = workspace.ledger
        bodies = count_text(found.bodies, "body", "bodies")
        if not found.images:
            ResultsTable(ready.row_stream, ledger).write(workspace.folder, ledger.record)
            summary = folder_summary(ready.row_stream, ready.job, ledger, ready.service, held=False)
            reason = f"nothing new is found in {bodies} of paid answers"
            # looking again would find nothing again
            step = f"imagemill failures {shlex.quote(str(out))}" if summary.by_error else summary.next
            summary = replace(summary, next=step)
            return nothing_sent(summary, "retry", reason, time.monotonic() - started)
        now = wall_ms()
        run = ledger.start_run(
            ready.run_id,
            started_ms=now,
            version=VERSION,
            endpoint=ready.endpoint.base_url,
            command=COMMAND,
        )
        note = f"{count_text(found.images, 'image was', 'images were')} found in {bodies} of paid answers, for free"
        return conclude(ready, workspace, Ended(run, None, notes=(note,), command="retry"))
