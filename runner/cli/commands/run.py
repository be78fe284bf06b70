"""`imagemill run`: make the images. The same command again goes on where the last one ended."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from typing import Any

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, job_from, job_on, job_options, source_argument


def _run(**values: Any) -> int:
    job = job_from(values)
    if values["dry_run"]:
        from runner.cli.commands.plan import show_plan

        return show_plan(job, as_json=values["as_json"])
    from runner.cli.console import print_facts, print_json
    from runner.cli.render import summary_facts
    from runner.schedule import scheduled_run
    from runner.telemetry.progress import make_observer

    with make_observer(job.output.progress, sys.stderr, quiet=values["quiet"]) as observer:
        summary = scheduled_run.run_nightly(
            job, values["source"], partial(job_on, values), observer=observer, signals=True
        )
    if values["as_json"]:
        print_json(asdict(summary))
    else:
        print_facts(summary_facts(summary, simulated=job.simulate))
    return summary.exit_code


command = Command(
    "run",
    callback=_run,
    params=[
        source_argument(),
        *job_options(),
        Option(["--dry-run"], group="Output", is_flag=True, help="as `imagemill plan`"),
        *common_options(),
    ],
    help="Make the images of a manifest, or of the job that a job file describes."
    " Running it again with the same --out resumes: nothing that is done is sent again.",
    epilog="Exit codes: 0 all succeeded, 2 usage, 3 some rows failed, 4 key or quota, 5 service down, 6 locked,"
    " 7 damaged, 8 budget, 9 disk, 10 --max-duration or --deadline, 130/143 interrupted.",
)
