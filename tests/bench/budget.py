"""Random jobs with a budget: prices, n, failures, restarts, cuts and kills; the service keeps the account.

Every run is a process forked from a server that has everything imported, so that it can be killed at any moment. The
service answers in this process. What it has charged, failures and lost answers included, must stay within `max_cost`,
and its count of requests within `max_requests`, over all runs of a job.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
import threading
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from tests.bench.charging import ChargingService
from tests.bench.figures import Figure, at_least, at_most
from tests.support.canary import WITH_CANARY, leaks

JOBS = 1000
AT_ONCE = 3
TOKEN_USD = 30e-6
INPUT_USD = 5e-6
TABLE_USD = {"low": 0.01, "medium": 0.05, "high": 0.2}


@dataclass(frozen=True, slots=True)
class Result:
    """One job's account at the service, against its caps; None: no such cap. kills: runs that were killed.

    leaks: files that hold the key.
    """

    seed: int
    requests: int
    charged_usd: float
    max_requests: int | None
    max_cost: float | None
    kills: int
    runs: int
    leaks: list[str]

    @property
    def overshoot(self) -> float:
        """USD above the cap; 0 within it."""
        return 0.0 if self.max_cost is None else max(0.0, self.charged_usd - self.max_cost - 1e-9)

    @property
    def overcount(self) -> int:
        """Requests above the cap."""
        return 0 if self.max_requests is None else max(0, self.requests - self.max_requests)


def _run(document: dict[str, Any], parked: bool) -> None:
    """One run of the job, or a retry of its parked rows, in a process of its own."""
    from jobs.selection import RetrySelection
    from runner.app.use_cases import retry_folder, run_job
    from runner.retry.request import RetryRequest
    from schemas.job import Job

    os.environ.update(WITH_CANARY)
    if not parked:
        run_job(Job.model_validate(document))
        return
    settings = {f"run.{name}": value for name, value in document["run"].items()}
    retry_folder(Path(document["out"]), RetryRequest(RetrySelection(parked=True), settings=settings))


def forks() -> ForkServerContext:
    """Processes that start with the runner imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["runner.app.use_cases", "runner.app.composition", "pyarrow.parquet", "PIL.Image", __name__]
    )
    return context


def job_of(seed: int, folder: Path, base_url: str) -> dict[str, Any]:
    """A random job: its document."""
    chance = random.Random(seed)
    rows = [chance.choice((1, 1, 2, 3, 10)) for _ in range(chance.randint(3, 12))]
    lines = [f"job {seed} row {number},{n}" for number, n in enumerate(rows)]
    (folder / "prompts.csv").write_text("\n".join(["prompt,n", *lines]) + "\n")
    fixed = chance.random() < 0.5
    price = round(chance.uniform(0.001, 0.5), 4)
    worst = sum(rows) * (price if fixed else TABLE_USD["high"])
    prices = {
        "input_per_million": INPUT_USD * 1e6,
        "output_per_million": TOKEN_USD * 1e6,
        "image": [{"model": "", "quality": name, "usd": usd} for name, usd in TABLE_USD.items()],
    }
    capped = chance.choice(("cost", "cost", "requests", "both"))
    budget: dict[str, Any] = {"price": price} if fixed else {}
    if capped != "requests":
        budget["max_cost"] = round(worst * chance.uniform(0.0, 0.8), 6)
    if capped != "cost":
        budget["max_requests"] = chance.randint(0, len(rows) + 3)
    return {
        "manifest": str(folder / "prompts.csv"),
        "out": str(folder / "out"),
        "request": {"size": "64x64", "quality": "auto"},
        "endpoint": {
            "base_url": f"{base_url}/{seed}/{price if fixed else 'table'}/v1",
            "timeout": 0.3,
            **({} if fixed else {"prices": prices}),
        },
        "limits": {"concurrency": chance.choice((1, 2, 5, 20))},
        "budget": budget,
        "retry": {
            "attempts": 3,
            "give_up": 2.0,
            **chance.choice(({}, {"on_ambiguous": "retry", "ambiguous_budget": 5})),
        },
    }


def run_job_often(seed: int, service: ChargingService, context: ForkServerContext) -> Result:
    """A job with up to four runs, each to its end, or cut, or killed."""
    chance = random.Random(f"runs of {seed}")
    kills, runs = 0, chance.randint(1, 3)
    with tempfile.TemporaryDirectory(prefix="imagemill-budget-") as temporary:
        document = job_of(seed, Path(temporary), service.base_url)
        for number in range(runs):
            how = chance.choice(("end", "end", "cut", "kill"))
            if how == "cut":
                run = {"max_duration": chance.uniform(0.01, 0.3), "drain": 0.0}
            else:
                run = {"max_duration": 8.0, "drain": 1.0}
            parked = number > 0 and chance.random() < 0.3 and (Path(temporary) / "out/job.toml").exists()
            process = context.Process(target=_run, args=(document | {"run": run}, parked))
            process.start()
            process.join(chance.uniform(0.05, 0.6) if how == "kill" else 60)
            if process.is_alive():
                kills += 1
                process.kill()
            process.join()
        found = leaks(Path(temporary))
    account = service.account(seed)
    caps = document["budget"]
    return Result(
        seed,
        account.requests,
        account.usd,
        caps.get("max_requests"),
        caps.get("max_cost"),
        kills,
        runs,
        found,
    )


def results(seeds: range) -> list[Result]:
    """These jobs, a few at once."""
    context, found = forks(), []
    waiting = iter(seeds)
    lock = threading.Lock()

    def work(service: ChargingService) -> None:
        while True:
            with lock:
                seed = next(waiting, None)
            if seed is None:
                return
            found.append(run_job_often(seed, service, context))

    with ChargingService() as service:
        threads = [threading.Thread(target=work, args=(service,)) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sorted(found, key=lambda result: result.seed)


def budget(jobs: int = JOBS) -> list[Figure]:
    """Overshoot over all jobs."""
    found = results(range(jobs))
    over = [result for result in found if result.overshoot or result.overcount]
    near = sum(result.max_cost is not None and result.charged_usd > 0.9 * result.max_cost for result in found)
    told = (
        f"{sum(result.runs for result in found)} runs, {sum(result.kills for result in found)} killed, "
        f"{sum(result.requests for result in found)} requests, {near} jobs within a tenth of their cap"
    )
    seeds = "" if not over else f"seeds {[result.seed for result in over][:10]}"
    return [
        at_least("budget: jobs", len(found), jobs, told),
        at_most("budget: jobs that overshot", len(over), 0, seeds),
        at_most("budget: files with the key", sum(len(result.leaks) for result in found), 0),
        at_most("budget: most USD above a cap", max(result.overshoot for result in found), 0),
        at_most("budget: most requests above a cap", max(result.overcount for result in found), 0),
    ]
