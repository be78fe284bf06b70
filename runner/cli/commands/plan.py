"""`imagemill plan`: what a run would do, without sending anything."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runner.cli.groups import Command
from runner.cli.options import common_options, job_from, job_options, source_argument

if TYPE_CHECKING:
    from schemas.job import Job


def show_plan(job: Job, *, as_json: bool) -> int:
    """Plan and report; 0 with invalid rows too, which are counted."""
    from runner.app import use_cases
    from runner.cli.console import print_facts, print_json
    from runner.cli.render import plan_facts

    plan = use_cases.plan_job(job)
    if as_json:
        print_json(asdict(plan))
    else:
        print_facts(plan_facts(plan))
    return 0


def _plan(**values: Any) -> int:
    return show_plan(job_from(values), as_json=values["as_json"])


command = Command(
    "plan",
    callback=_plan,
    params=[source_argument(), *job_options(), *common_options()],
    help="Check every row; count rows, requests and images and what is done already; estimate cost and time."
    " Sends nothing. Takes the arguments of `run`.",
)
