"""What a dialect consists of: one frozen value a service, its documents as templates.

A template is a JSON value in which a text `$name` stands for a value; a key or an item whose value is not there
is left out. Null is a value. A list of one item that names an image (`$url`, `$b64_json`) has that item once for each
image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Template = Any
"""JSON with `$names` in it."""

IMAGES = "images"
"""Name of the list whose items' values fill a list of images."""
_IMAGE_NAMES = {"url", "b64_json"}
_ABSENT = object()


def fill(template: Template, values: Mapping[str, Any]) -> Any:
    """`template` with every `$name` replaced by the value of that name."""
    if isinstance(template, str):
        return values.get(template[1:], _ABSENT) if template.startswith("$") else template
    if isinstance(template, dict):
        filled = {key: fill(part, values) for key, part in template.items()}
        return {key: part for key, part in filled.items() if part is not _ABSENT}
    if isinstance(template, list):
        if len(template) == 1 and names(template) & _IMAGE_NAMES:
            return _each_image(template[0], values)
        return [part for part in (fill(part, values) for part in template) if part is not _ABSENT]
    return template


def _each_image(template: Template, values: Mapping[str, Any]) -> Any:
    if IMAGES not in values:
        return _ABSENT
    others = {name: value for name, value in values.items() if name not in _IMAGE_NAMES}
    parts = (fill(template, others | image) for image in values[IMAGES])
    return [part for part in parts if part is not _ABSENT]


def names(template: Template) -> set[str]:
    """Every `$name` in a template, without the `$`."""
    if isinstance(template, str):
        return {template[1:]} if template.startswith("$") else set()
    parts = (
        template.values() if isinstance(template, dict) else template if isinstance(template, list) else ()
    )
    return set().union(*map(names, parts))


OPENAI_ERROR: Template = {
    "error": {"message": "$message", "type": "$type", "param": "$param", "code": "$code"}
}


@dataclass(frozen=True, slots=True)
class Switch:
    """How a request asks for a task: any of these does. All empty: no request can.

    always: every request does. path: the submit path below the base. body: a field and the value that switches.
    query, header: a name and the value that switches.
    """

    always: bool = False
    path: str = ""
    body: tuple[tuple[str, Any], ...] = ()
    query: tuple[str, str] = ("", "")
    header: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class TaskForm:
    """The documents of tasks.

    polls: paths with `{id}`, below the base, or from the root where they start with a slash.
    words: status while queued, while processing, when done, when failed.
    submitted, going, done, failed: templates. Names in all: id, status, progress (0 to 100), percent ("50%"),
    created, updated, expires_at (Unix seconds), poll_url, poll_path, model. In done also those of an answer.
    In failed also those of an error. submit_headers: values are templates.
    lost: template of the 404 for a task that is not known, None for the dialect's own error.
    """

    polls: tuple[str, ...] = ()
    words: tuple[str, str, str, str] = ("", "", "", "")
    submitted: Template = None
    going: Template = None
    done: Template = None
    failed: Template = None
    submit_status: int = 200
    submit_headers: tuple[tuple[str, Template], ...] = ()
    lost: Template = None


NO_TASKS = TaskForm()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a service makes of the request body.

    extras: fields that it takes besides the documented ones, with their JSON types.
    refused: fields that it names and refuses with 400; refusal: the message, with `{name}`.
    ignores_unknown: fields that it does not know do not matter. model: what it draws with when none is sent.
    formats: its words for `response_format` and what they mean (`url` or `b64_json`); empty: the documented ones.
    default_format: how images come when nothing is asked for; "" as documented. forced_format: however asked.
    size: where the size comes from, a name in `reading.SIZES`. image: the file format whatever is asked for.
    """

    extras: tuple[tuple[str, type], ...] = ()
    refused: tuple[str, ...] = ()
    refusal: str = "Unknown parameter: '{name}'."
    ignores_unknown: bool = False
    model: str = ""
    formats: tuple[tuple[str, str], ...] = ()
    default_format: str = ""
    forced_format: str = ""
    size: str = "size"
    image: str = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One service's way to speak `POST …/images/generations`.

    base: path that `images/generations` is appended to; route: the pattern of such paths, "" for this one only.
    query: name and value that every request must carry.
    keys: headers that may carry the key; `authorization` means a Bearer token.
    profile: whose documented fields it takes; "" for the simulator's own.
    answer: template of a synchronous answer, None for the profile's own. Names: created, usage, model, id,
    output_format and what else the profile's answer has; of an image: url, b64_json, revised_prompt, index, expires_at.
    grouped: every other task gives its URLs as one list. data_uri: base64 carries a `data:` prefix.
    files: path of images; signed: it needs a signature. relative: URLs are relative. url_life_s: seconds.
    error: template, None for OpenAI's. Names: message, type, param, code, http_status, http_status_text and
    code_or_http_status. problems: template for mistakes whose codes are in `listed`, which answer 422.
    codes: this service's spelling of error codes.
    """

    name: str
    base: str = "/v1"
    route: str = ""
    query: tuple[str, str] = ("", "")
    keys: tuple[str, ...] = ("authorization", "x-api-key")
    profile: str = ""
    reading: Reading = Reading()
    answer: Template | None = None
    grouped: bool = False
    data_uri: bool = False
    files: str = "/files/"
    signed: bool = True
    relative: bool = False
    url_life_s: float = 3600.0
    error: Template = None
    problems: Template = None
    listed: tuple[str, ...] = ()
    codes: tuple[tuple[str, str], ...] = ()
    switch: Switch = Switch()
    task: TaskForm = NO_TASKS

    @property
    def base_query(self) -> str:
        """The query that belongs to the base URL, with its question mark; "" for none."""
        return f"?{self.query[0]}={self.query[1]}" if self.query[0] else ""
