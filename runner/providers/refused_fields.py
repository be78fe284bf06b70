"""A field that the service does not know or take, found in whatever words it says so, and the setting that mends it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from runner.providers.task_documents import value_at
from schemas.failures import Failure, FailureKind

_FIELD = r"[`'\"\[(]*([A-Za-z_][A-Za-z0-9_]{0,60})"
_FOUND = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:unknown|unrecogni[sz]ed|unexpected|unsupported|extra|disallowed|additional)"
        r"(?: request| keyword| body| input)? (?:parameter|param|field|name|argument|property|key|option|attribute|input)s?"
        r"(?: supplied| provided| found)?:? ?" + _FIELD,
        r"(?:argument|parameter|field|property|option)s? (?:is |are )?not (?:supported|allowed|recogni[sz]ed|permitted)"
        r"[^:\n]{0,60}: ?" + _FIELD,
        r"(?:does not|doesn['’]t) (?:support|accept|take|allow)(?: the)?(?: following)?(?: request)?"
        r" (?:parameter|field|argument|option|propert)\w*:? ?" + _FIELD,
        r"(?:does not|doesn['’]t) (?:support|accept|take|allow)(?: the)? " + _FIELD + r"[`'\"]? "
        r"(?:parameter|field|argument|option)",
        r"(?:property|parameter|field|argument) "
        + _FIELD
        + r"[`'\"]? (?:should not exist|is not|was not|not)",
        r"\(?'([A-Za-z_]\w{0,60})' (?:was|were) unexpected",
        r"'loc': [\[(]'body', '([A-Za-z_]\w{0,60})'[\])].{0,60}(?:extra|not permitted)",
        r"\b(?:body\.)?([A-Za-z_]\w{0,60})[`'\"]?(?::| -)? (?:extra (?:inputs|fields)|unrecogni[sz]ed|unknown) ?"
        r"(?:are|is)? ?(?:not permitted|not allowed|field|key)?",
        r"[`'\"]([A-Za-z_]\w{0,60})[`'\"] (?:is not (?:a )?(?:supported|recogni[sz]ed|allowed|permitted|valid) "
        r"?(?:parameter|field|argument|option|property|with|for|by|in)|is unsupported|is unknown)",
    )
)
_CODES = frozenset(
    {"unknown_parameter", "unsupported_parameter", "extra_forbidden", "unrecognized_parameter"}
)
_SAYS_SO = re.compile(
    r"unknown (?:parameter|field|argument|name)|unsupported parameter|not supported|not permitted|unrecogni[sz]ed|"
    r"should not exist|additional propert|not allowed|unexpected",
    re.IGNORECASE,
)
_NEEDED = ("prompt", "model")
_LISTED = re.compile(r"additional propert", re.IGNORECASE)


def with_setting(failure: Failure, document: Any, sent: Collection[str], ours: Mapping[str, str]) -> Failure:
    """The failure, whose message names the setting that leaves out the field that the service refuses.

    sent: names of the fields that were sent. ours: our name of a field that has another one there.
    """
    if failure.kind is not FailureKind.INVALID_REQUEST:
        return failure
    name = next(
        (name for name in _candidates(failure, document) if name in sent and name not in _NEEDED), None
    )
    if name is None:
        return failure
    hint = f"; leave it out with --set endpoint.drop_params='[\"{ours.get(name, name)}\"]'"
    return replace(failure, message=failure.message + hint)


def _candidates(failure: Failure, document: Any) -> Iterator[str]:
    """Names that may be the refused field's, most certain first."""
    message = failure.message
    of_a_value = failure.code is not None and "value" in failure.code
    says_so = failure.code in _CODES or (not of_a_value and _SAYS_SO.search(message))
    for pattern in _FOUND:
        yield from (found[1] for found in pattern.finditer(message))
    if not says_so:
        return
    for path in (
        "error.param",
        "param",
        "detail[0].loc[1]",
        "detail[0].loc[0]",
        "error.params.additionalProperty",
    ):
        value = value_at(document, path)
        if isinstance(value, str):
            yield value.rpartition(".")[2]
    if _LISTED.search(message):
        yield from re.findall(r"[`'\"]([A-Za-z_]\w{0,60})[`'\"]", message)
