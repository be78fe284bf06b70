"""What the log of a run says of its start and its end, and where it stands."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runner.config.toml_writer import settings_in_force
from runner.planning.prepare import PreparedJob
from runner.process.version import VERSION
from runner.telemetry.run_log import RunLog
from runner.workspace.folder import Workspace
from schemas.output_folder import LOGS
from schemas.summary import Summary


@contextmanager
def run_log(ready: PreparedJob, workspace: Workspace, base_url: str, command: str) -> Iterator[RunLog]:
    """The log of a run, begun; written to its end when the block ends. command: as the ledger records it."""
    log = RunLog(lambda: workspace.folder.growing(f"{LOGS}/{ready.run_id}.jsonl"), time.time)
    log.start(_start_facts(ready, base_url, command))
    try:
        yield log
    except BaseException as error:
        log.end({"exit_code": None, "reason": f"{type(error).__name__}"})
        raise
    finally:
        log.close()


def _start_facts(ready: PreparedJob, base_url: str, command: str) -> dict[str, Any]:
    job, defaults = ready.job, dict(ready.row_stream.defaults.fields)
    return {
        "run_id": ready.run_id,
        "command": json.loads(command),
        "versions": {
            "imagemill": VERSION,
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "service": {
            "profile": job.endpoint.profile,
            "endpoint": "simulated" if job.simulate else base_url,
            "model": defaults.get("model"),
        },
        "settings": settings_in_force(job),
    }


def end_facts(summary: Summary) -> dict[str, Any]:
    """What the log says of the end."""
    return {
        "exit_code": summary.exit_code,
        "reason": summary.exit_reason,
        "duration_s": summary.duration_s,
        "by_status": summary.by_status,
        "by_error": summary.by_error,
    }
