"""The job file's JSON Schema, for editors and for messages about mistakes: one description of what each key may hold."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas.job import Job, parse_duration, secrecy
from schemas.providers import PROFILES
from schemas.request import FIELDS
from schemas.secrecy import Secrecy
from schemas.task_dialects import DIALECTS, SYNC

DURATION_PATTERN = r"^\s*\d+(\.\d+)?\s*((ms|s|min|m|h|d)(\s*\d+(\.\d+)?\s*(ms|s|min|m|h|d))*)?\s*$"

_DESCRIPTIONS = {
    "endpoint.dialect": "how the service is spoken to; auto looks at what comes back",
    "budget.max_requests": "requests sent in this folder, over all runs",
    "retry.on_ambiguous": "a request whose outcome is unknown: park it, or send it again (it may be paid twice)",
    "run.max_duration": "end the run after so long, resumable",
    "output.progress": "rich: a bar; plain: a line every 30 s; auto: rich on a terminal",
    "output.log_format": "how log lines are written to stderr",
    "simulator.rpm": "requests a minute that the simulator allows",
    "simulator.ipm": "images a minute that the simulator allows",
    "simulator.seed": "seed of its faults and latencies",
}


class _Generator(GenerateJsonSchema):
    """Durations are numbers or text such as `10m`; pydantic alone would describe the number only."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        number = super().function_before_schema(schema)
        if schema["function"]["function"] is not parse_duration:
            return number
        return {"anyOf": [number, {"type": "string", "pattern": DURATION_PATTERN}]}


def _tidied(node: Any) -> Any:
    """TOML has no null, and pydantic's titles repeat the key: both go. `gt`/`ge` become JSON Schema's own words."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    words = {"gt": "exclusiveMinimum", "ge": "minimum"}
    tidy = {words.get(key, key): _tidied(value) for key, value in node.items() if key != "title"}
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
    document: dict[str, Any] = _tidied(Job.model_json_schema(schema_generator=_Generator))
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
        return f"a duration{_bounds(leaf)}: seconds, or text such as 90s, 10m, 6h"
    words = {
        "integer": "a whole number" + _bounds(leaf),
        "number": "a number" + _bounds(leaf),
        "string": "text (in quotes)",
        "boolean": "true or false",
        "array": 'a list of texts, such as ["a", "b"]',
        "object": "a table",
    }
    return words[leaf["type"]]
