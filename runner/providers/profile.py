"""Builds the client profile of a job's service, from the service's profile and the job's settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from runner.providers.generations import ClientProfile
from runner.providers.polling import PollTiming
from schemas.job import EndpointTable, Job, TaskTable
from schemas.providers import Profile
from schemas.task_dialects import AUTO, DIALECTS, SYNC, TaskDialect

POLL_EVERY_S = 4.0
SIMULATED_POLL_S = 0.25
POLLS_A_SECOND = 20.0
"""Over all tasks of a run; with many of them each is polled less often."""


def key_header(endpoint: EndpointTable, profile: Profile, key: str) -> dict[str, str]:
    """The header that carries the key."""
    named = DIALECTS.get(endpoint.dialect, AUTO)
    name = endpoint.key_header or named.key_header or profile.key_header
    return {name: f"Bearer {key}" if name.lower() == "authorization" else key}


def client_profile(
    job: Job, profile: Profile, clock: Callable[[], float], wall_s: Callable[[], float]
) -> ClientProfile:
    """The client profile of the job's service. clock: monotonic seconds. wall_s: Unix seconds."""
    endpoint = job.endpoint
    usual_s = SIMULATED_POLL_S if job.simulate else POLL_EVERY_S
    every_s = usual_s if endpoint.poll_every is None else endpoint.poll_every
    timing = PollTiming(every_s, endpoint.task_timeout, clock, wall_s)
    of_profile = endpoint.dialect == AUTO.name and endpoint.task is None
    return ClientProfile(
        dialect_of(job),
        timing,
        profile.server_error_billed,
        dict(profile.renamed) | endpoint.rename_params,
        frozenset(profile.task_models) if of_profile else frozenset(),
        DIALECTS[profile.dialect],
    )


def dialect_of(job: Job) -> TaskDialect:
    """The dialect that the job names or describes."""
    endpoint = job.endpoint
    known = AUTO if endpoint.dialect in (AUTO.name, SYNC) else DIALECTS[endpoint.dialect]
    return known if endpoint.task is None else described(endpoint.task, known)


def described(task: TaskTable, base: TaskDialect) -> TaskDialect:
    """The dialect that a job file describes, on top of a known one."""
    changed = replace(
        base,
        submit_path=task.submit_path or base.submit_path,
        submit_query=(*base.submit_query, *task.submit_query.items()),
        submit_body=(*base.submit_body, *task.submit_body.items()),
        poll_paths=(task.poll_path,) if task.poll_path else base.poll_paths,
        going=base.going | _words(task.going),
        done=base.done | _words(task.done),
        dead=base.dead | _words(task.failed),
    )
    return replace(
        changed,
        ids=(task.id, *base.ids) if task.id else base.ids,
        statuses=(task.status, *base.statuses) if task.status else base.statuses,
        images=(task.images, *base.images) if task.images else base.images,
    )


def _words(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.strip().lower().replace("-", "_").replace(" ", "_") for word in words)
