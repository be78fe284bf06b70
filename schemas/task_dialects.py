"""How services answer with tasks, as data: a row for each relay, and the rules that hold for all of them.

A service may answer a request with a promise instead of images: an id, to be asked for until the images are there. The
relays differ in where they take such requests, how they are asked, and where they put id, status, images and failures.
What came back decides, not what was asked; so the general row understands every relay below once it has answered, and a
named one adds only what has to be known beforehand: where and how to submit, and where to poll.

Paths into documents are written `data[0].task_id`. Paths of URLs are below the base URL; a leading `/` means below
the host. Each row's source was read in November 2026. What a relay answers is recorded beside the simulator, which
answers with it (`runner/simulator/recorded/NAME/`): a row and its recordings are all that is said of a relay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

GENERATIONS = "images/generations"

GOING = frozenset(
    {
        *("queued", "queueing", "pending", "submitted", "processing", "in_progress", "running", "not_start"),
        *(
            "not_started",
            "assigned",
            "starting",
            "started",
            "created",
            "accepted",
            "waiting",
            "generating",
            "in_queue",
        ),
    }
)
DONE = frozenset(
    {
        *("completed", "complete", "succeeded", "success", "succeed", "finished", "done"),
    }
)
DEAD = frozenset(
    {
        *(
            "failed",
            "failure",
            "fail",
            "error",
            "cancelled",
            "canceled",
            "expired",
            "timeout",
            "timed_out",
            "rejected",
        ),
        *("moderated", "blocked"),
    }
)
"""Status words, lower case, `-` and blanks as `_`. Any other word means that the task is still going."""
DEAD_PARTS = ("moderated", "reject", "violat", "refused", "denied", "nsfw", "flagged", "sensitive", "unsafe")
"""Parts of longer words that mean the same: `request_moderated` (docs.bfl.ai), `content_policy_violation`."""

STRONG_IDS = ("task_id", "taskId", "data.task_id", "data.taskId", "data[0].task_id", "data[0].taskId")
"""Where an id stands that can only be a task's."""
WEAK_IDS = ("id", "data.id", "data[0].id")
"""Where an id stands that is a task's when a status, a place to poll or 202 says so."""
STATUSES = (
    "status",
    "state",
    "task_status",
    "data.status",
    "data.state",
    "data.task_status",
    "data[0].status",
)
POLL_URLS = ("poll_url", "polling_url", "status_url", "data.poll_url", "data[0].poll_url", "urls.get")
ERRORS = (
    "error",
    "data.error",
    "result.error",
    "data[0].error",
    "fail_reason",
    "data.fail_reason",
    "error_message",
    "data.error_message",
)
ERROR_CODES = ("error_code", "fail_code")
"""Where the code of an error stands that is a text: beside it."""


@dataclass(frozen=True, slots=True)
class TaskDialect:
    """One way to speak of tasks.

    submit_path, submit_query, submit_body: where a request goes, and what is added to it.
    poll_paths: where to ask, `{id}` being the task's; tried in order until one knows the task. A URL that the service
    tells comes first.
    ids, statuses, images: paths into its documents, before the general ones.
    key_header: where the key goes, when it is not `Authorization`.
    going, done, dead: its own status words, besides the general ones.
    source: where the facts come from. assumed: what the source leaves open; "" for nothing.
    """

    name: str
    submit_path: str = GENERATIONS
    submit_query: tuple[tuple[str, str], ...] = ()
    submit_body: tuple[tuple[str, Any], ...] = ()
    poll_paths: tuple[str, ...] = ("tasks/{id}",)
    ids: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    key_header: str | None = None
    going: frozenset[str] = frozenset()
    done: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()
    source: str = ""
    assumed: str = ""


AUTO = TaskDialect(
    "auto",
    poll_paths=(
        "tasks/{id}",
        "images/tasks/{id}",
        "images/generations/{id}",
        "task/{id}",
        "/generation/tasks/{id}",
    ),
)
"""Asks for nothing, understands whatever comes back."""

_ASYNC_PATH = "images/generations/async"

DIALECTS: dict[str, TaskDialect] = {
    dialect.name: dialect
    for dialect in (
        AUTO,
        TaskDialect(
            "dieyuyun",
            submit_body=(("async", True),),
            poll_paths=("tasks/{id}", "/tasks/{id}"),
            source="open.dieyuyun.com",
            assumed="all but a submit's answer and the words queued, completed and failed",
        ),
        TaskDialect("evolink", source="docs.evolink.ai"),
        TaskDialect(
            "apimart",
            source="docs.apimart.ai",
            assumed="where a failure stands, and that errors have the HTTP status as their code",
        ),
        TaskDialect(
            "sub2api",
            submit_path=_ASYNC_PATH,
            poll_paths=("images/tasks/{id}",),
            source="its repository, docs/ASYNC_IMAGE_TASKS.md",
        ),
        TaskDialect(
            "piapi",
            submit_path=_ASYNC_PATH,
            poll_paths=("task/{id}",),
            key_header="X-API-Key",
            source="piapi.ai/blogs",
            assumed="the words, and where a failure stands",
        ),
        TaskDialect(
            "dimilinks",
            submit_query=(("async", "true"),),
            poll_paths=("tasks/{id}", "images/tasks/{id}"),
            source="docs.dimilinks.com",
        ),
        TaskDialect(
            "skyengine",
            submit_path=_ASYNC_PATH,
            poll_paths=("images/generations/{id}",),
            source="docs-model.skyengine.com.cn",
            assumed="the words, that images stand in `data`, and a failure with its text at the top level",
        ),
        TaskDialect(
            "lemondata",
            poll_paths=("tasks/{id}", "images/tasks/{id}"),
            source="docs.lemondata.cc",
            assumed="the key of the id, the path behind `poll_url`, and where a failure stands",
        ),
        TaskDialect(
            "modelsell",
            source="modelsell.com",
            assumed="all but where it is polled, `state` with succeeded and failed, and `data.images`",
        ),
        TaskDialect(
            "tokenhub",
            poll_paths=("/generation/tasks/{id}",),
            source="tokenhub.com",
            assumed="all but where it is polled, the word succeeded, and `data.result_urls`",
        ),
        TaskDialect(
            "newapi",
            submit_query=(("async", "true"),),
            poll_paths=("tasks/{id}", "images/tasks/{id}", "images/generations/{id}"),
            source="docs.newapi.pro",
            assumed="where it is polled, and that `data.data` is the answer of a synchronous request",
        ),
    )
}
"""By the name that `endpoint.dialect` takes."""

SYNC = "sync"
"""`endpoint.dialect` for a service that must answer with images: a task it answers with is polled all the same."""
