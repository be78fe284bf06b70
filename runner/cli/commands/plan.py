"""`imagemill plan`: what a run would do, without sending anything."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, job_from, job_options, rows_from, source_argument

if TYPE_CHECKING:
    from schemas.job import Job


def show_plan(job: Job, *, as_json: bool, every: bool = False) -> int:
    """Plan and report; 0 with invalid rows too, which are counted. every: list all of them."""
    from runner.app import use_cases
    from runner.cli.console import print_facts
    from runner.cli.json_report import print_report
    from runner.cli.lines.plan import plan_facts
    from runner.planning.prepare import new_run

    with rows_from(job, kept=False) as rows:
        planned = job if rows is None else job.model_copy(update={"manifest": str(rows)})
        plan = use_cases.plan_job(planned, every=every)
    if as_json:
        content = asdict(plan) | {"out": str(new_run(job)[1]), "simulated": job.simulate}
        del content["warnings"]
        print_report("plan", content, warnings=plan.warnings)
    else:
        print_facts(plan_facts(plan, every=every))
    return 0


def _plan(**values: Any) -> int:
    return show_plan(job_from(values), as_json=values["as_json"], every=values["all"])


command = Command(
    "plan",
    callback=_plan,
    params=[
        source_argument(),
        *job_options(),
        Option(["--all"], group="Output", is_flag=True, help="list every invalid row, not the first ones"),
        *common_options(),
    ],
    help="Check every row; count rows, requests and images and what is done already; estimate cost and time."
    " Sends nothing. Takes the arguments of `run`.",
    epilog="Example: imagemill plan prompts.csv --out runs/a --max-cost 5",
)
