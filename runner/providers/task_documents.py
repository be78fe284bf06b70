"""Reading what services say of a task: its id, where to ask, how it stands, and its images. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.http.messages import Body
from runner.providers.image_answers import Item, item_of
from schemas.outcome import Task
from schemas.task_dialects import (
    DEAD,
    DONE,
    ERROR_CODES,
    ERRORS,
    GOING,
    POLL_URLS,
    STATUSES,
    STRONG_IDS,
    WEAK_IDS,
    TaskDialect,
)

_CONTAINERS = (
    *("data", "images", "result", "results", "output", "outputs", "result_urls", "image_urls", "urls"),
    *("response", "task_result", "content"),
)
_ENTRY_KEYS = ("b64_json", "base64", "image_base64", "url", "image_url")
_DEPTH = 5
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_MAX_ID_CHARS = 500
_LOOKS_LIKE_URL = re.compile(r"(?:https?://|data:|/)\S", re.IGNORECASE)


def parsed(body: Body) -> tuple[Any, str | None]:
    """The parsed document, or None and what is wrong with it."""
    if not body.size:
        return None, "the answer is empty"
    try:
        return body.document(), None
    except ValueError as error:
        return None, f"the answer is not JSON: {str(error)[:200]}"


def dig(document: Any, path: str) -> Any:
    """The value at a path such as `data[0].task_id`; None where there is none."""
    for name, index in _PART.findall(path):
        if index:
            ok = isinstance(document, list) and int(index) < len(document)
            document = document[int(index)] if ok else None
        else:
            document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _first(document: Any, paths: Iterable[str]) -> str | None:
    """The first text (or whole number, as text) at one of the paths."""
    for path in paths:
        value = dig(document, path)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def accepted(
    document: Any, headers: Mapping[str, str], http_status: int, dialect: TaskDialect
) -> Task | None:
    """The task of an answer without images; None when it is no promise of any. headers: lower-case names."""
    poll_url = _first(document, POLL_URLS) or (headers.get("location") or None)
    sure = _first(document, (*dialect.ids, *STRONG_IDS))
    if sure is None:
        sure = _first(document, WEAK_IDS)
        if sure is None or not (poll_url or http_status == 202 or words(document, dialect)):
            return None
    if is_dead(document, dialect) or len(sure) > _MAX_ID_CHARS:
        return None
    return Task(sure, poll_url)


def words(document: Any, dialect: TaskDialect) -> list[str]:
    """Every status word of the document, lower case, as the tables write them."""
    found = (dig(document, path) for path in (*dialect.statuses, *STATUSES))
    return [re.sub(r"[\s-]+", "_", word.strip().lower()) for word in found if isinstance(word, str)]


def is_going(document: Any, dialect: TaskDialect) -> bool:
    """Whether the document says in so many words that the task goes on."""
    return any(word in GOING or word in dialect.going for word in words(document, dialect))


def is_dead(document: Any, dialect: TaskDialect) -> bool:
    """Whether the task has failed: by a status word, unless another says that it goes on."""
    dead = any(word in DEAD or word in dialect.dead for word in words(document, dialect))
    return dead and not is_going(document, dialect)


def is_done(document: Any, dialect: TaskDialect) -> bool:
    """Whether the task has ended well, as its words have it."""
    told = words(document, dialect)
    known_going = is_going(document, dialect)
    return any(word in DONE or word in dialect.done for word in told) and not known_going


def error_of(document: Any) -> dict[str, Any]:
    """The failed task's error as a document that `jobs.classify.read_error` reads."""
    for path in ERRORS:
        error = dig(document, path)
        if isinstance(error, Mapping) and error:
            return {"error": error}
        if error:
            beside = path.rpartition(".")[0]
            code = _first(dig(document, beside) if beside else document, ERROR_CODES)
            return {"error": str(error), "code": code}
    return dict(document) if isinstance(document, Mapping) else {}


def images(document: Any, body: Body, dialect: TaskDialect, *, ended: bool) -> list[Item]:
    """The images of a task's document, wherever it has them. ended: where none is inside, one may stand at the very top."""
    for path in dialect.images:
        found = [item_of(entry, body) for entry in _entries(dig(document, path), _DEPTH, bare=True)]
        if found:
            return found
    if not isinstance(document, Mapping):
        return []
    inside = {name: value for name, value in document.items() if name not in _ENTRY_KEYS}
    found = [item_of(entry, body) for entry in _entries(inside, _DEPTH)]
    if not found and ended:
        found = [item_of(entry, body) for entry in _entries(document, _DEPTH)]
    return found


def _entries(value: Any, depth: int, *, bare: bool = False) -> Iterator[Any]:
    """Entries that name an image: objects with one of `_ENTRY_KEYS`, and URLs in a container's list.

    An entry with several URLs is several images. Looks into the first container that holds any.
    """
    if depth == 0:
        return
    if isinstance(value, str):
        if bare and _LOOKS_LIKE_URL.match(value):
            yield {"url": value}
    elif isinstance(value, list):
        for entry in value:
            yield from _entries(entry, depth - 1, bare=True)
    elif isinstance(value, Mapping):
        if any(_filled(value.get(name)) for name in _ENTRY_KEYS):
            yield from _split(value)
            return
        for name in _CONTAINERS:
            found = list(_entries(value.get(name), depth - 1, bare=name not in ("content", "response")))
            if found:
                yield from found
                return


def _filled(value: Any) -> bool:
    return bool(value) and (isinstance(value, str) or (isinstance(value, list) and isinstance(value[0], str)))


def _split(entry: Mapping[str, Any]) -> Iterator[Any]:
    encoded = next((entry[name] for name in _ENTRY_KEYS[:3] if _filled(entry.get(name))), None)
    rest = {name: value for name, value in entry.items() if name not in _ENTRY_KEYS}
    if encoded is not None:
        yield {**rest, "b64_json": encoded}
        return
    url = next(entry[name] for name in _ENTRY_KEYS[3:] if _filled(entry.get(name)))
    for each in url if isinstance(url, list) else [url]:
        yield {**rest, "url": each}
