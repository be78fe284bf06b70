"""A dialect's templates filled: answers, tasks' documents and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.simulator.dialects.model import OPENAI_ERROR, Dialect, fill
from runner.simulator.faults.refusals import REFUSALS
from runner.simulator.requests.errors import ServiceError

Document = dict[str, Any]
UNPROCESSABLE = 422


def answer_values(document: Mapping[str, Any], dialect: Dialect, *, in_one_list: bool = False) -> Document:
    """What the templates may name of a good answer, itself perhaps spoilt: its keys, its images in the dialect's form.

    in_one_list: all URLs go into one list, where the dialect does such things.
    """
    values = dict(document)
    data = document.get("data")
    if not isinstance(data, list):
        return values
    items = [_dressed(item, dialect) | {"index": index} for index, item in enumerate(data)]
    urls = [item["url"] for item in items if "url" in item]
    values |= {"urls": urls} | ({"url": urls[0]} if urls else {})
    if dialect.grouped and in_one_list and urls:
        items = [items[0] | {"url": urls}]
    expires_at = {"expires_at": int(values.get("created", 0) + dialect.url_life_s)}
    values["data"] = [
        _without_index(item) if dialect.item is None else fill(dialect.item, item | expires_at)
        for item in items
    ]
    return values


def _dressed(item: Document, dialect: Dialect) -> Document:
    """An image as the dialect sends it; base64 that a fault wants goes into a `data:` URL where all images are URLs."""
    text = item.get("b64_json")
    if text is None:
        return item
    uri = text if text.startswith("data:") else f"data:image/{dialect.reading.image or 'png'};base64,{text}"
    if dialect.reading.forced_format == "url":
        return {"url": uri} | {name: item[name] for name in item if name != "b64_json"}
    return item | {"b64_json": uri} if dialect.data_uri else item


def _without_index(item: Document) -> Document:
    return {name: value for name, value in item.items() if name != "index"}


def synchronous_answer(document: Document, dialect: Dialect, extra: Document) -> Document:
    """A good answer as the dialect gives it at once. extra: further values, such as `id` and `model`."""
    values = answer_values(document, dialect)
    answer: Document = values if dialect.answer is None else fill(dialect.answer, values | extra)
    return {name: value for name, value in answer.items() if name not in ("url", "urls")}


def error_body(error: ServiceError, dialect: Dialect) -> tuple[int, Any]:
    """Status and JSON document of a refusal."""
    if error.has_own_shape:
        return error.status, error.document()
    if dialect.problems is not None and error.status == 400 and error.code in dialect.listed:
        where = ["body"] if error.param is None else ["body", error.param]
        problems = [{"type": error.code, "loc": where, "msg": error.message}]
        return UNPROCESSABLE, fill(dialect.problems, {"problems": problems})
    template = OPENAI_ERROR if dialect.error is None else dialect.error
    code = dict(dialect.codes).get(error.code or "", error.code)
    values = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": code,
        "status": error.status,
        "status_text": str(error.status),
        "code_or_status": code or str(error.status),
    }
    return error.status, fill(template, values)


def failure_values(refusal: str, code: str | None, message: str | None, dialect: Dialect) -> Document:
    """What a failed task's template may name. refusal: a kind in `REFUSALS`; code, message: None for its own."""
    row = REFUSALS[refusal]
    own = row.code if code is None else code
    text = row.message if message is None else message
    return {
        "code": dict(dialect.codes).get(own or "", own),
        "message": text.replace("{request_id}", "req_of_the_task"),
        "type": row.type,
        "status_code": row.status,
    }
