"""Relays that answer with a task: each is its row in `schemas.task_dialects` and its recorded answers, and no more.

What neither of them can say stands here as `_DIFFERENCES`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runner.simulator.dialects.model import Dialect, Reading, Switch, TaskForm, Template, names
from runner.simulator.dialects.recordings import Http, http_of, recorded, with_status
from schemas.task_dialects import AUTO, DIALECTS, GENERATIONS, STATUSES, TaskDialect

_LINK_LIFE_S = 86_400.0
_STATES = ("submitted", "going", "done", "failed")
_DIFFERENCES: dict[str, dict[str, Any]] = {
    "apimart": {"grouped": True},
    "dimilinks": {
        "files": "/p/img/",
        "relative": True,
        "switch": Switch(
            body=(("wait_for_result", False),), query=("async", "true"), header=("Prefer", "respond-async")
        ),
    },
}
"""Fields of `Dialect`: ways to ask for a task that imagemill does not use, and what changes from answer to answer."""


def _relay(row: TaskDialect) -> Dialect:
    http = http_of(row.name)
    relay = Dialect(
        row.name,
        base=http.base,
        keys=(row.key_header.lower(),) if row.key_header else ("authorization", "x-api-key"),
        reading=Reading(forced_format=_only_format(recorded(row.name, "done"))),
        switch=_switch(row),
        error=recorded(row.name, "refused"),
        url_life_s=_LINK_LIFE_S,
        task=_task_form(row, http),
    )
    return replace(relay, **_DIFFERENCES.get(row.name, {}))


def _only_format(done: Template) -> str:
    """How images always come: `url` or `b64_json`; "" where both are there, as asked for."""
    forms = names(done) & {"url", "b64_json"}
    return forms.pop() if len(forms) == 1 else ""


def _switch(row: TaskDialect) -> Switch:
    """What the client does to ask for a task; where it does nothing, every request is for one."""
    path = "" if row.submit_path == GENERATIONS else row.submit_path
    query = row.submit_query[0] if row.submit_query else ("", "")
    return Switch(not (path or row.submit_body or row.submit_query), path, row.submit_body, query)


def _task_form(row: TaskDialect, http: Http) -> TaskForm:
    keys = frozenset(path.rpartition(".")[2] for path in (*row.statuses, *STATUSES))
    found = (with_status(recorded(row.name, state), keys) for state in _STATES)
    (submitted, queued), (going, working), (done, success), (failed, failure) = found
    return TaskForm(
        polls=http.polls or row.poll_paths,
        words=(queued or working, working, success, failure),
        submitted=submitted,
        going=going,
        done=done,
        failed=failed,
        submit_status=http.status,
        submit_headers=tuple(http.headers.items()),
        lost=recorded(row.name, "lost"),
    )


RELAYS = tuple(_relay(row) for row in DIALECTS.values() if row is not AUTO)
