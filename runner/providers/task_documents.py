"""Reads task documents of services: the task's id, poll URL, status and images. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.http.messages import Body
from runner.providers.image_answers import ImageEntry, image_entry
from schemas.outcome import Task
from schemas.task_dialects import (
    DEAD,
    DEAD_PARTS,
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
_LEAST_ID_CHARS = 3
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character, which no URL can hold."""
_STATUS_NAMES = ("status", "state", "task_status")
_LOOKS_LIKE_URL = re.compile(r"(?:https?://|data:|/)\S", re.IGNORECASE)


def value_at(document: Any, path: str) -> Any:
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
        value = value_at(document, path)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip() and _SURROGATE.search(value) is None:
            return value.strip()
    return None


def accepted_task(
    document: Any, headers: Mapping[str, str], http_status: int, dialect: TaskDialect
) -> Task | None:
    """The task that an answer without images announces; None if it announces none. headers: lower-case names."""
    poll_url = _first(document, POLL_URLS) or (headers.get("location") or None)
    sure = _first(document, (*dialect.ids, *STRONG_IDS))
    if sure is None:
        sure = _first(document, WEAK_IDS)
        if sure is None or not (poll_url or http_status == 202 or status_words(document, dialect)):
            return None
    if is_dead(document, dialect) or len(sure) > _MAX_ID_CHARS:
        return None
    return Task(sure, poll_url)


def other_id(document: Any, task_id: str) -> str | None:
    """The id of the other task that a document speaks of; None where it is of this one, or of none by name.

    An `id` counts where a status stands beside it: it says whose status that is. The task's own id anywhere, also as a
    part of a longer one, makes the document its own. What is too short to tell tasks apart is none.
    """
    named = [
        str(found)
        for path in STRONG_IDS
        if isinstance(found := value_at(document, path), str | int) and found
    ]
    for path in WEAK_IDS:
        beside = value_at(document, path.rpartition(".")[0]) if "." in path else document
        found = value_at(document, path)
        if isinstance(beside, Mapping) and isinstance(found, str | int) and found:
            named += [str(found)] if any(isinstance(beside.get(name), str) for name in _STATUS_NAMES) else []
    others = [name for name in named if len(name) >= _LEAST_ID_CHARS or len(name) == len(task_id)]
    whole = re.compile(rf"(?<![a-z0-9]){re.escape(task_id.lower())}(?![a-z0-9])")
    return others[0] if others and not _holds(document, whole, _DEPTH) else None


def _holds(value: Any, own_id: re.Pattern[str], depth: int) -> bool:
    """Whether a short text or a number of the document is the id, or has it as a part."""
    if isinstance(value, str | int):
        return own_id.search(str(value)[: _MAX_ID_CHARS * 4].lower()) is not None
    if depth == 0:
        return False
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(_holds(each, own_id, depth - 1) for each in inner)


def status_words(document: Any, dialect: TaskDialect) -> list[str]:
    """Every status word of the document, lower case, as the tables write them."""
    found = (value_at(document, path) for path in (*dialect.statuses, *STATUSES))
    return [re.sub(r"[\s-]+", "_", word.strip().lower()) for word in found if isinstance(word, str)]


def is_going(document: Any, dialect: TaskDialect) -> bool:
    """Whether a status word of the document says that the task is still being made."""
    return any(word in GOING or word in dialect.going for word in status_words(document, dialect))


def is_dead(document: Any, dialect: TaskDialect) -> bool:
    """Whether a status word says that the task has failed, and none that it is still being made."""
    dead = any(word in dialect.dead or _is_dead_word(word) for word in status_words(document, dialect))
    return dead and not is_going(document, dialect)


def _is_dead_word(word: str) -> bool:
    return word in DEAD or any(part in word for part in DEAD_PARTS)


def is_done(document: Any, dialect: TaskDialect) -> bool:
    """Whether a status word says that the task is done, and none that it is still being made."""
    words = status_words(document, dialect)
    known_going = is_going(document, dialect)
    return any(word in DONE or word in dialect.done for word in words) and not known_going


def error_of(document: Any) -> dict[str, Any]:
    """The failed task's error as a document that `jobs.classify.read_error` reads."""
    for path in ERRORS:
        error = value_at(document, path)
        if isinstance(error, Mapping) and error:
            return {"error": error}
        if error:
            beside = path.rpartition(".")[0]
            code = _first(value_at(document, beside) if beside else document, ERROR_CODES)
            return {"error": str(error), "code": code}
    return dict(document) if isinstance(document, Mapping) else {}


def task_images(document: Any, body: Body, dialect: TaskDialect, *, ended: bool) -> list[ImageEntry]:
    """The images of a task's document, wherever they are. ended: if none is inside, the top level may be one itself."""
    for path in dialect.images:
        found = [image_entry(entry, body) for entry in _entries(value_at(document, path), _DEPTH, bare=True)]
        if found:
            return found
    if not isinstance(document, Mapping):
        return []
    inside = {name: value for name, value in document.items() if name not in _ENTRY_KEYS}
    found = [image_entry(entry, body) for entry in _entries(inside, _DEPTH)]
    if not found and ended:
        found = [image_entry(entry, body) for entry in _entries(document, _DEPTH)]
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
        for each in encoded if isinstance(encoded, list) else [encoded]:
            yield {**rest, "b64_json": each}
        return
    url = next(entry[name] for name in _ENTRY_KEYS[3:] if _filled(entry.get(name)))
    for each in url if isinstance(url, list) else [url]:
        yield {**rest, "url": each}
