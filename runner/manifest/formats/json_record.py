"""One JSON record as text values: strings as they are, numbers and nested values exactly as they were written."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from typing import Any

from jobs.rows import shown
from runner.manifest.tables import Malformed

Record = dict[str, str | None]

BARE_STRING_KEY = "prompt"
"""The key that a record gets which is one JSON string."""

DECODER = json.JSONDecoder(
    object_pairs_hook=list, parse_float=str, parse_int=str, parse_constant=str, strict=False
)
"""Numbers as their source text (a 23-digit id, `1e5`, `0.10`), objects as pairs; raw control characters allowed."""

_BLANK = re.compile(r"[ \t\r\n]*")
_KEY = re.compile(r'[ \t\r\n]*+"((?:[^"\\]++|\\.)*+)"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_SIGN = re.compile(r"[ \t\r\n]*+([,}])")
_WORDS = {True: "true", False: "false"}
_NOT_A_RECORD = "is not a JSON object; write one object with the keys of a row, or one string, the prompt"


def parse_record(text: str, once: Container[str] = ()) -> Record | Malformed:
    """The top-level keys and values of one JSON object; true and false as words, null as None.

    once: keys that may not be repeated. Of other repeated keys the last stands.
    """
    try:
        pairs = _pairs(text)
    except json.JSONDecodeError as error:
        return Malformed(
            f"is not valid JSON ({error.msg}, character {error.pos + 1:,}); correct or remove it"
        )
    except RecursionError:
        return Malformed("is nested too deeply; flatten it")
    if pairs is None:
        return Malformed(_NOT_A_RECORD)
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next((key for key in record if keys.count(key) > 1 and key in once), None)
        if repeated is not None:
            return Malformed(f"has the key {shown(repeated)} more than once; keep one")
    if ("\\u" in text or not text.isascii()) and not _is_text(record):
        return Malformed(
            "holds half a character (an unpaired surrogate), or bytes that are not UTF-8; remove it"
        )
    return record


def _is_text(record: Record) -> bool:
    try:
        "".join((*record, *filter(None, record.values()))).encode()
    except UnicodeEncodeError:
        return False
    return True


def _pairs(text: str) -> list[tuple[str, str | None]] | None:
    """Keys and values in their order; None where `text` is neither an object nor a string."""
    if "[" in text or text.count("{") > 1:
        return _sliced_pairs(text)
    value = DECODER.decode(text)
    if isinstance(value, list):
        return [(key, _scalar(inner)) for key, inner in value]
    return [(BARE_STRING_KEY, value)] if _is_string(text) else None


def _sliced_pairs(text: str) -> list[tuple[str, str | None]] | None:
    """As `_pairs`, for objects that hold lists or objects: those come as their source text."""
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        value = DECODER.decode(text)
        return [(BARE_STRING_KEY, value)] if _is_string(text) else None
    pairs: list[tuple[str, str | None]] = []
    sign = ","
    while sign == ",":
        key = _found(_KEY, text, at + 1, "Expecting a key in double quotes and a colon")
        value, end = DECODER.raw_decode(text, key.end())
        name = key[1] if "\\" not in key[1] else str(DECODER.decode(f'"{key[1]}"'))
        pairs.append((name, text[key.end() : end] if isinstance(value, list) else _scalar(value)))
        following = _found(_SIGN, text, end, "Expecting ',' or '}'")
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
