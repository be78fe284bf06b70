"""One JSON record as text values: strings as they are, numbers and nested values exactly as they were written."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from contextlib import suppress
from typing import Any

from jobs.quoting import quoted
from runner.manifest.tables import Malformed

Record = dict[str, str | None]


class Nested(str):
    """The source text of a list or an object: carried along as it is, and no text for a role."""

    __slots__ = ()


BARE_STRING_KEY = "prompt"
"""The key that a record gets which is one JSON string."""

DECODER = json.JSONDecoder(
    object_pairs_hook=list, parse_float=str, parse_int=str, parse_constant=str, strict=False
)
"""Numbers as their source text (a 23-digit id, `1e5`, `0.10`), objects as pairs; raw control characters allowed."""

_BLANK = re.compile(r"[ \t\r\n]*")
_KEY = re.compile(r'[ \t\r\n]*+"((?:[^"\\]++|\\.)*+)"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_SIGN = re.compile(r"[ \t\r\n]*+([,}])")
_KINDS = {"[": "a list", "{": "an object"}
_WORDS = {True: "true", False: "false"}
_NOT_A_RECORD = "is not a JSON object; write one object with the keys of a row, or one string, the prompt"


def parse_record(text: str, once: Container[str] = ()) -> Record | Malformed:
    """The top-level keys and values of one JSON object; true and false as words, null as None, nested values `Nested`.

    once: keys of roles, which may not be repeated or nested. Of other repeated keys the last stands.
    """
    try:
        pairs = _pairs(text)
    except json.JSONDecodeError as error:
        problem = f"is not valid JSON ({error.msg}, character {error.pos + 1:,}); correct or remove it"
        return Malformed(problem, _before_the_error(text))
    except RecursionError:
        return Malformed("is nested too deeply; flatten it")
    if pairs is None:
        return Malformed(_NOT_A_RECORD)
    record = dict(pairs)
    nested = [key for key, value in pairs if type(value) is Nested and key in once]
    if not nested and len(record) == len(pairs) and text.isascii() and "\\u" not in text:
        return record  # most are whole; asking `_problems` of each takes a quarter longer
    fault = next(_problems(text, pairs, record, once), None)
    return record if fault is None else Malformed(fault, _without_faults(pairs, record, once))


def _problems(
    text: str, pairs: list[tuple[str, str | None]], record: Record, once: Container[str]
) -> Iterator[str]:
    """What is wrong with a record of valid JSON."""
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        yield from (
            f"has the key {quoted(key)} more than once; keep one"
            for key in record
            if key in once and keys.count(key) > 1
        )
    yield from (
        f"column {quoted(key)} holds {_KINDS[value[:1]]}, not text; write it as text"
        for key, value in record.items()
        if key in once and isinstance(value, Nested)
    )
    if ("\\u" in text or not text.isascii()) and not _is_text(record):
        key = next(key for key, value in record.items() if not _is_text({key: value}))
        where = f"column {quoted(key)} " if _is_text({key: None}) else "a key "
        yield (
            f"{where}holds half a character (an unpaired surrogate), or bytes that are not UTF-8; remove it"
        )


def _without_faults(pairs: list[tuple[str, str | None]], record: Record, once: Container[str]) -> Record:
    """What can be told of a record all the same."""
    keys = [key for key, _ in pairs]
    return {
        key: None if key in once and (isinstance(value, Nested) or keys.count(key) > 1) else value
        for key, value in record.items()
        if _is_text({key: value})
    }


def _before_the_error(text: str) -> Record:
    """The pairs before the one at which an object stops being valid JSON."""
    pairs: list[tuple[str, str | None]] = []
    with suppress(json.JSONDecodeError, RecursionError):
        _sliced_pairs(text, pairs)
    return {key: value for key, value in pairs if _is_text({key: value})}


def _is_text(record: Record) -> bool:
    try:
        "".join((*record, *filter(None, record.values()))).encode()
    except UnicodeEncodeError:
        return False
    return True


def _pairs(text: str) -> list[tuple[str, str | None]] | None:
    """Keys and values in their order; None where `text` is neither an object nor a string."""
    if "[" in text or text.count("{") > 1:
        return _sliced_pairs(text, [])
    value = DECODER.decode(text)
    if isinstance(value, list):
        return [(key, _scalar(inner)) for key, inner in value]
    return [(BARE_STRING_KEY, value)] if _is_string(text) else None


def _sliced_pairs(text: str, pairs: list[tuple[str, str | None]]) -> list[tuple[str, str | None]] | None:
    """As `_pairs`, for objects that hold lists or objects: those come as their source text.

    pairs: where they are put, each once what follows it is valid too.
    """
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        value = DECODER.decode(text)
        return [(BARE_STRING_KEY, value)] if _is_string(text) else None
    sign = ","
    while sign == ",":
        key = _found(_KEY, text, at + 1, "Expecting a key in double quotes and a colon")
        value, end = DECODER.raw_decode(text, key.end())
        name = key[1] if "\\" not in key[1] else str(DECODER.decode(f'"{key[1]}"'))
        following = _found(_SIGN, text, end, "Expecting ',' or '}'")
        pairs.append((name, Nested(text[key.end() : end]) if isinstance(value, list) else _scalar(value)))
        sign, at = following[1], following.end() - 1
    if _skip(text, at + 1) < len(text):
        raise json.JSONDecodeError("Extra data", text, at + 1)
    return pairs


def _found(pattern: re.Pattern[str], text: str, at: int, otherwise: str) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise json.JSONDecodeError(otherwise, text, at)
    return found


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found is not None else at


def _is_string(text: str) -> bool:
    return text[_skip(text, 0) :][:1] == '"'


def _scalar(value: Any) -> str | None:
    return _WORDS[value] if isinstance(value, bool) else value
