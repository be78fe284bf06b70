"""Relays that answer with a task, one row each. A row follows the relay's documents; what they leave open is assumed."""

from __future__ import annotations

from runner.simulator.dialects.model import DIEYUYUN_TASKS, Dialect, Reading, Switch, TaskForm

_LINK_LIFE_S = 86_400.0
_ERROR = {"code": "$code", "message": "$message"}
_TYPED_ERROR = {"type": "$type", "message": "$message"}
_URL_ITEM = {"url": "$url", "revised_prompt": "$revised_prompt"}

_EVOLINK = {
    "id": "$id",
    "object": "image.generation.task",
    "status": "$status",
    "progress": "$progress",
    "created": "$created",
    "model": "$model",
}
_SUB2API = {
    "id": "$id",
    "task_id": "$id",
    "object": "image.generation.task",
    "status": "$status",
    "expires_at": "$expires_at",
}
_DATED = {"task_id": "$id", "status": "$status", "created_at": "$created"}
_NEWAPI = {
    "task_id": "$id",
    "status": "$status",
    "progress": "$percent",
    "submit_time": "$created",
    "finish_time": "$updated",
    "fail_reason": "",
}

DIEYUYUN = Dialect(
    "dieyuyun", switch=Switch(body=(("async", True),)), task=DIEYUYUN_TASKS, url_life_s=_LINK_LIFE_S
)
EVOLINK = Dialect(
    "evolink",
    reading=Reading(forced_format="url"),
    switch=Switch(always=True),
    url_life_s=_LINK_LIFE_S,
    task=TaskForm(
        polls=("tasks/{id}",),
        words=("pending", "processing", "completed", "failed"),
        submitted=_EVOLINK
        | {
            "task_info": {"can_cancel": True, "estimated_time": 45},
            "usage": {"credits_reserved": 1.5},
        },
        going=_EVOLINK,
        done=_EVOLINK | {"results": "$urls"},
        failed=_EVOLINK | {"error": _ERROR},
    ),
)
APIMART = Dialect(
    "apimart",
    reading=Reading(forced_format="url"),
    switch=Switch(always=True),
    item={"url": "$url", "expires_at": "$expires_at"},
    grouped=True,
    url_life_s=_LINK_LIFE_S,
    error={"error": {"code": "$status", "message": "$message", "type": "$type"}},
    task=TaskForm(
        polls=("tasks/{id}",),
        words=("submitted", "processing", "completed", "failed"),
        submitted={"code": 200, "data": [{"status": "$status", "task_id": "$id"}]},
        going={"code": 200, "data": {"id": "$id", "status": "$status", "progress": "$progress"}},
        done={
            "code": 200,
            "data": {
                "id": "$id",
                "status": "$status",
                "progress": 100,
                "result": {"images": "$data"},
                "cost": 0.006,
            },
        },
        failed={"code": 200, "data": {"id": "$id", "status": "$status", "error": _ERROR}},
    ),
)
"""Assumed: where the failure stands, and that errors have the status as their code."""

SUB2API = Dialect(
    "sub2api",
    switch=Switch(path="images/generations/async"),
    url_life_s=_LINK_LIFE_S,
    task=TaskForm(
        polls=("images/tasks/{id}",),
        words=("processing", "processing", "completed", "failed"),
        submitted=_SUB2API | {"poll_url": "$poll_path"},
        going=_SUB2API | {"poll_url": "$poll_path"},
        done=_SUB2API
        | {
            "http_status": 200,
            "image_url": "$url",
            "result": {"created": "$created", "data": "$data", "usage": "$usage"},
        },
        failed=_SUB2API | {"http_status": "$status_code", "error": _TYPED_ERROR},
        submit_status=202,
        submit_headers=(("Location", "$poll_path"), ("Retry-After", "3")),
        lost=("task_not_found", "not_found_error"),
    ),
)
PIAPI = Dialect(
    "piapi",
    base="/api/v1",
    keys=("x-api-key",),
    reading=Reading(forced_format="b64_json"),
    switch=Switch(path="images/generations/async"),
    task=TaskForm(
        polls=("task/{id}",),
        words=("pending", "processing", "completed", "failed"),
        submitted={"task_id": "$id", "status": "$status"},
        going={"task_id": "$id", "status": "$status"},
        done={"task_id": "$id", "status": "$status", "output": {"created": "$created", "data": "$data"}},
        failed={"task_id": "$id", "status": "$status", "error": _ERROR},
    ),
)
"""Assumed: the words, and where the failure stands."""

DIMILINKS = Dialect(
    "dimilinks",
    reading=Reading(extras=(("wait_for_result", bool),), forced_format="url"),
    switch=Switch(
        body=(("wait_for_result", False),), query=("async", "true"), header=("Prefer", "respond-async")
    ),
    files="/p/img/",
    relative=True,
    url_life_s=_LINK_LIFE_S,
    task=TaskForm(
        polls=("tasks/{id}", "images/tasks/{id}"),
        words=("queued", "in_progress", "succeeded", "failed"),
        submitted=_DATED,
        going=_DATED | {"progress": "$progress"},
        done=_DATED | {"result": {"created": "$created", "data": "$data"}},
        failed=_DATED | {"error": _ERROR},
    ),
)
SKYENGINE = Dialect(
    "skyengine",
    reading=Reading(forced_format="url"),
    switch=Switch(path="images/generations/async"),
    url_life_s=_LINK_LIFE_S,
    task=TaskForm(
        polls=("images/generations/{id}",),
        words=("pending", "running", "success", "failure"),
        submitted=_DATED,
        going=_DATED,
        done=_DATED | {"data": "$data"},
        failed=_DATED | {"message": "$message", "code": "$code"},
    ),
)
"""Assumed: the words, that images stand in `data`, and a failure that has its text at the top level."""

LEMONDATA = Dialect(
    "lemondata",
    reading=Reading(forced_format="url"),
    switch=Switch(always=True),
    item=_URL_ITEM,
    url_life_s=_LINK_LIFE_S,
    task=TaskForm(
        polls=("images/generations/{id}", "tasks/{id}"),
        words=("pending", "processing", "completed", "failed"),
        submitted={"created": "$created", "task_id": "$id", "status": "$status", "poll_url": "$poll_url"},
        going={"task_id": "$id", "status": "$status", "poll_url": "$poll_url"},
        done={"task_id": "$id", "status": "$status", "created": "$created", "data": "$data"},
        failed={"task_id": "$id", "status": "$status", "error": _ERROR},
        lost=("async_task_not_found", "invalid_request_error"),
    ),
)
"""Assumed: the key of the id, the image-status path behind `poll_url`, and where the failure stands."""

MODELSELL = Dialect(
    "modelsell",
    switch=Switch(always=True),
    task=TaskForm(
        polls=("tasks/{id}",),
        words=("queued", "running", "succeeded", "failed"),
        submitted={"code": 0, "message": "ok", "data": {"id": "$id", "state": "$status"}},
        going={"code": 0, "data": {"id": "$id", "state": "$status", "progress": "$progress"}},
        done={"code": 0, "data": {"id": "$id", "state": "$status", "images": "$data"}},
        failed={"code": 0, "data": {"id": "$id", "state": "$status", "error": "$message"}},
    ),
)
"""Documented: the poll's path, `state` with succeeded and failed, `data.images`. Assumed: the rest."""

TOKENHUB = Dialect(
    "tokenhub",
    reading=Reading(forced_format="url"),
    switch=Switch(always=True),
    task=TaskForm(
        polls=("/generation/tasks/{id}",),
        words=("queued", "running", "succeeded", "failed"),
        submitted={"data": {"task_id": "$id", "status": "$status"}},
        going={"data": {"task_id": "$id", "status": "$status"}},
        done={"data": {"task_id": "$id", "status": "$status", "result_urls": "$urls"}},
        failed={
            "data": {
                "task_id": "$id",
                "status": "$status",
                "error_code": "$code",
                "error_message": "$message",
            }
        },
    ),
)
"""Documented: the poll's path, succeeded, `data.result_urls`. Assumed: the rest."""

NEWAPI = Dialect(
    "newapi",
    switch=Switch(query=("async", "true")),
    task=TaskForm(
        polls=("tasks/{id}",),
        words=("NOT_START", "IN_PROGRESS", "SUCCESS", "FAILURE"),
        submitted={"task_id": "$id", "status": "$status"},
        going={"code": "success", "message": "", "data": _NEWAPI},
        done={
            "code": "success",
            "message": "",
            "data": _NEWAPI | {"data": {"created": "$created", "data": "$data"}},
        },
        failed={"code": "success", "message": "", "data": _NEWAPI | {"fail_reason": "$message"}},
    ),
)
"""Assumed: the poll's path, and that a finished task has the answer of a synchronous request in `data.data`."""

RELAYS = (
    DIEYUYUN,
    EVOLINK,
    APIMART,
    SUB2API,
    PIAPI,
    DIMILINKS,
    SKYENGINE,
    LEMONDATA,
    MODELSELL,
    TOKENHUB,
    NEWAPI,
)
