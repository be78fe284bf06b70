"""The job file's JSON Schema, for editors and for messages about mistakes: one description of what each key may hold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from runner.text.nearest import nearest
from schemas.durations import DURATION_PATTERN
from schemas.job import Job, secrecy
from schemas.providers import PROFILES
from schemas.request import FIELDS
from schemas.secrecy import Secrecy
from schemas.task_dialects import DIALECTS, SYNC

_DESCRIPTIONS = {
    "budget.max_requests": "requests sent in this folder, over all runs",
    "retry.on_ambiguous": "a request whose outcome is unknown: park it, or send it again (it may be paid twice)",
    "run.max_duration": "end the run after so long, resumable",
    "output.progress": "rich: a bar; plain: a line every 30 s; auto: rich on a terminal",
    "output.log_format": "how log lines are written to stderr",
    "simulator.rpm": "requests a minute that the simulator allows",
    "simulator.ipm": "images a minute that the simulator allows",
    "simulator.seed": "seed of its faults and latencies",
}


def _tidied(node: Any) -> Any:
    """TOML has no null, and pydantic's titles repeat the key: both go."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(value) for key, value in node.items() if key != "title"}
    branches = [branch for branch in tidy.get("anyOf", ()) if branch != {"type": "null"}]
    if len(branches) == 1:
        tidy = {**branches[0], **{key: value for key, value in tidy.items() if key != "anyOf"}}
    elif branches:
        tidy["anyOf"] = branches
    if tidy.get("default", ...) is None or "$ref" in tidy:
        tidy.pop("default", None)
    return tidy


def _describe(table: dict[str, Any], path: str) -> None:
    for name, leaf in table["properties"].items():
        key = f"{path}{name}"
        meaning = FIELDS[name].meaning if path == "request." and name in FIELDS else _DESCRIPTIONS.get(key)
        if meaning is not None:
            leaf.setdefault("description", meaning)
        if "$ref" not in leaf and secrecy(key) is Secrecy.SECRET:
            leaf["writeOnly"] = True


@cache
def _schema() -> dict[str, Any]:
    document: dict[str, Any] = _tidied(Job.model_json_schema())
    _describe(document, "")
    for name, node in document["properties"].items():
        if "$ref" in node:
            table = document["$defs"][node["$ref"].rpartition("/")[2]]
            node["description"] = table["description"]
            _describe(table, f"{name}.")
    document["$defs"]["EndpointTable"]["properties"]["profile"]["enum"] = list(PROFILES)
    document["$defs"]["EndpointTable"]["properties"]["dialect"]["enum"] = [*DIALECTS, SYNC]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "imagemill job file",
        **document,
        "description": "One imagemill job: `imagemill run JOB.toml`. Durations are seconds, or text such as 10m.",
    }


def job_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the job file, for editors that check TOML (Taplo, Even Better TOML)."""
    return dict(_schema())


@cache
def job_tables() -> frozenset[str]:
    """The names of the job file's tables: `limits`, `endpoint`, …"""
    return frozenset(name for name, node in _schema()["properties"].items() if "$ref" in node)


@cache
def job_keys() -> dict[str, dict[str, Any]]:
    """Every key of the job file in dotted form (`limits.rpm`), with its JSON Schema."""
    document = _schema()
    keys: dict[str, dict[str, Any]] = {}
    for name, node in document["properties"].items():
        if "$ref" not in node:
            keys[name] = node
            continue
        table = document["$defs"][node["$ref"].rpartition("/")[2]]
        keys |= {f"{name}.{inner}": leaf for inner, leaf in table["properties"].items()}
    return keys


@cache
def whole_tables() -> frozenset[str]:
    """Keys whose value is a table, set as a whole: `endpoint.prices`, `endpoint.rename_params`."""
    return frozenset(
        key for key, leaf in job_keys().items() if "$ref" in leaf or leaf.get("type") == "object"
    ) - {"request.param"}


def node_at(key: str, path: Sequence[str]) -> dict[str, Any]:
    """The schema below a key that holds a whole table; the numbers in the path are places in lists. Empty: none."""
    node = job_keys()[key]
    for name in path:
        node = _followed(node)
        node = node.get("items", {}) if name.isdecimal() else node.get("properties", {}).get(name, {})
    return _followed(node)


def _followed(node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref", "")
    return _schema()["$defs"][reference.rpartition("/")[2]] if reference else node


def meant_value(leaf: dict[str, Any], value: object) -> str:
    """What was probably meant by a value that a key cannot hold: the nearest word, or the nearest number; "": who knows."""
    text = str(value)
    if "enum" in leaf:
        return nearest(text, leaf["enum"]) or ""
    if leaf.get("type") not in ("integer", "number"):
        return ""
    try:
        number = float(text)
    except ValueError:
        return ""
    low, high = leaf.get("minimum"), leaf.get("maximum")
    if low is not None and number < low:
        return f"{low:g}"
    return f"{high:g}" if high is not None and number > high else ""


def is_duration(leaf: dict[str, Any]) -> bool:
    """Whether a key's schema takes a duration."""
    return any(branch.get("pattern") == DURATION_PATTERN for branch in leaf.get("anyOf", ()))


def _bounds(number: dict[str, Any]) -> str:
    low, high, above = number.get("minimum"), number.get("maximum"), number.get("exclusiveMinimum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if above is not None:
        return f" above {above:g}" + ("" if high is None else f", {high:g} at most")
    return "" if low is None else f", {low:g} or more"


def allowed(leaf: dict[str, Any]) -> str:
    """What a key may hold, for people: `a whole number from 1 to 10`, `park or retry`."""
    if "enum" in leaf:
        *others, last = leaf["enum"]
        return f"{', '.join(others)} or {last}"
    if "$ref" in leaf:
        return "a table"
    if is_duration(leaf):
        return f"a duration{_bounds(leaf['anyOf'][0])}: seconds, or text such as 90s, 10m, 6h"
    words = {
        "integer": "a whole number" + _bounds(leaf),
        "number": "a number" + _bounds(leaf),
        "string": "text (in quotes)",
        "boolean": "true or false",
        "array": 'a list of texts, such as ["a", "b"]'
        if "$ref" not in leaf.get("items", {})
        else "a list of tables",
        "object": "a table",
    }
    return words[leaf["type"]]
