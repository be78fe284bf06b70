"""A dialect's templates filled: answers, tasks' documents and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.simulator.dialects.model import IMAGES, OPENAI_ERROR, Dialect, fill
from runner.simulator.faults.refusals import REFUSALS
from runner.simulator.requests.errors import ServiceError

Document = dict[str, Any]
UNPROCESSABLE = 422


def answer_values(document: Mapping[str, Any], dialect: Dialect, *, in_one_list: bool = False) -> Document:
    """What the templates may name of a good answer, itself perhaps spoilt: its keys, and its images in `images`.

    in_one_list: all URLs go into one list, where the dialect does such things.
    """
    values = dict(document)
    data = values.pop("data", None)
    if not isinstance(data, list):
        return values
    expires_at = int(values.get("created", 0) + dialect.url_life_s)
    images = [
        _dressed(item, dialect) | {"index": index, "expires_at": expires_at}
        for index, item in enumerate(data)
    ]
    urls = [image["url"] for image in images if "url" in image]
    if dialect.grouped and in_one_list and urls:
        images = [images[0] | {"url": urls}]
    return values | {IMAGES: images} | ({"url": urls[0]} if urls else {})


def _dressed(item: Document, dialect: Dialect) -> Document:
    """An image as the dialect sends it; base64 that a fault wants goes into a `data:` URL where all images are URLs."""
    text = item.get("b64_json")
    if text is None:
        return item
    uri = text if text.startswith("data:") else f"data:image/{dialect.reading.image or 'png'};base64,{text}"
    if dialect.reading.forced_format == "url":
        return {"url": uri} | {name: item[name] for name in item if name != "b64_json"}
    return item | {"b64_json": uri} if dialect.data_uri else item


def synchronous_answer(document: Document, dialect: Dialect, extra: Document) -> Document:
    """A good answer as the dialect gives it at once. extra: further values, such as `id` and `model`."""
    data = document.get("data")
    if dialect.answer is None:
        dressed = {"data": [_dressed(item, dialect) for item in data]} if isinstance(data, list) else {}
        return document | dressed
    filled: Document = fill(dialect.answer, answer_values(document, dialect) | extra)
    return filled


def error_body(error: ServiceError, dialect: Dialect) -> tuple[int, Any]:
    """Status and JSON document of a refusal."""
    if error.own is not None:
        return error.status, error.own
    values: Document = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    if dialect.problems is not None and error.status == 400 and error.code in dialect.listed:
        known = {name: value for name, value in values.items() if value is not None}
        return UNPROCESSABLE, fill(dialect.problems, known)
    code = dict(dialect.codes).get(error.code or "", error.code)
    values |= {"code": code, "http_status": error.status, "http_status_text": str(error.status)}
    values |= {"code_or_http_status": code or str(error.status)}
    return error.status, fill(OPENAI_ERROR if dialect.error is None else dialect.error, values)


def failure_values(refusal: str, code: str | None, message: str | None, dialect: Dialect) -> Document:
    """What a failed task's template may name. refusal: a kind in `REFUSALS`; code, message: None for its own."""
    row = REFUSALS[refusal]
    own = row.code if code is None else code
    text = row.message if message is None else message
    return {
        "code": dict(dialect.codes).get(own or "", own),
        "message": text.replace("{request_id}", "req_of_the_task"),
        "type": row.type,
        "http_status": row.status,
    }
