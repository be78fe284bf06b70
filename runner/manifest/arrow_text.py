"""Arrow values as text: for prompts, ids and request fields, and for columns that are text in another file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.types as kinds

from runner.manifest.records import RecordTexts, Values

Problems = dict[int, str]
"""Offset -> why the value there is no text."""

Converter = Callable[[pa.Array], tuple[Values, Problems]]


def text_values(array: pa.Array) -> tuple[Values, Problems]:
    """Each value as text, null as None: integers in digits, floats as Python shows them, booleans as true and false.

    Lists, maps and structs are no text; nor are bytes that are not UTF-8. Those come as None with a problem.
    """
    for test, convert in _CONVERTERS:
        if test(array.type):
            return convert(array)
    return _shown(array)


def merged_roles(texts: Mapping[str, tuple[Values, Problems]], columns: Mapping[str, str]) -> RecordTexts:
    """The records of which these are the columns. A value that is no text costs its record that value alone.

    texts: role -> what `text_values` gives for its column. columns: role -> the column's name, for messages.
    """
    malformed: Problems = {}
    for role, (_, problems) in texts.items():
        for offset, problem in problems.items():
            malformed.setdefault(offset, f"column {columns[role]!r} {problem}")
    return RecordTexts({role: values for role, (values, _) in texts.items()}, malformed)


def carried_text(array: pa.Array) -> Values:
    """Each value as text for the results: nested values as JSON, bytes that are not UTF-8 escaped."""
    if kinds.is_nested(array.type) and not kinds.is_dictionary(array.type):
        return [None if value is None else json_text(value) for value in array.to_pylist()]
    values, problems = text_values(array)
    for offset in problems:
        values[offset] = _bytes_of(array[offset]).decode("utf-8", "backslashreplace")
    return values


def json_text(value: object) -> str:
    """JSON text; NumPy values as Python's, what JSON has no form for (dates, decimals) as its text."""
    return json.dumps(
        value, ensure_ascii=False, default=lambda other: getattr(other, "tolist", other.__str__)()
    )


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that a column is carried with: dictionaries decoded, types that Parquet cannot hold as text."""
    if kinds.is_dictionary(kind) or kinds.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    return pa.string() if kinds.is_interval(kind) or kinds.is_union(kind) else kind


def as_type(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The column in the type it is carried with. Anything can become text; numbers only wider ones.

    Strings that are not UTF-8 (Parquet files may hold such) are escaped, or no one could read the results.
    """
    if kinds.is_dictionary(array.type):
        array = array.dictionary_decode()
    if is_text(kind) and (array.type != kind or not _is_valid(array)):
        array = string_array(carried_text(array))
    return array if array.type == kind else array.cast(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are text already."""
    return any(test(kind) for test in (kinds.is_string, kinds.is_large_string, kinds.is_string_view))


def string_array(values: Sequence[str | None]) -> pa.Array:
    """Text as an Arrow string array; None becomes null. Unlike `pyarrow.array` it does not import pandas."""
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def _is_valid(array: pa.Array) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (kinds.is_binary, kinds.is_large_binary, kinds.is_binary_view, kinds.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _is_extension(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType)


def _bytes_of(scalar: pa.Scalar) -> bytes:
    return bytes(scalar.as_buffer())


def _strings(array: pa.Array) -> tuple[Values, Problems]:
    try:
        return array.to_pylist(), {}
    except UnicodeDecodeError:  # Parquet files may lie about it
        return _decoded(array.cast(pa.large_binary()))


def _decoded(array: pa.Array) -> tuple[Values, Problems]:
    values: Values = []
    problems: Problems = {}
    for offset, value in enumerate(array.to_pylist()):
        try:
            values.append(None if value is None else value.decode())
        except UnicodeDecodeError as error:
            values.append(None)
            problems[offset] = (
                f"holds bytes that are not UTF-8 (at byte {error.start:,}); write it as UTF-8 text"
            )
    return values, problems


def _cast(array: pa.Array) -> tuple[Values, Problems]:
    return array.cast(pa.string()).to_pylist(), {}


def _floats(array: pa.Array) -> tuple[Values, Problems]:
    numbers = array.to_numpy(zero_copy_only=False)
    there = array.is_valid().to_pylist()
    return [str(number) if valid else None for number, valid in zip(numbers, there, strict=True)], {}


def _nested(array: pa.Array) -> tuple[Values, Problems]:
    problem = f"holds {array.type}, not text; write it as text"
    return [None] * len(array), {
        at: problem for at, valid in enumerate(array.is_valid().to_pylist()) if valid
    }


def _dictionary(array: pa.Array) -> tuple[Values, Problems]:
    return text_values(array.dictionary_decode())


def _extension(array: pa.Array) -> tuple[Values, Problems]:
    return (
        _shown(array) if _is_bytes(array.type.storage_type) else text_values(array.storage)
    )  # bytes: a UUID


def _shown(array: pa.Array) -> tuple[Values, Problems]:
    return [None if value is None else str(value) for value in array.to_pylist()], {}


_CONVERTERS: tuple[tuple[Callable[[pa.DataType], bool], Converter], ...] = (
    (_is_extension, _extension),
    (is_text, _strings),
    (kinds.is_dictionary, _dictionary),
    (_is_bytes, _decoded),
    (kinds.is_boolean, _cast),
    (kinds.is_integer, _cast),
    (kinds.is_floating, _floats),
    (kinds.is_decimal, _cast),
    (kinds.is_interval, _shown),
    (kinds.is_temporal, _cast),
    (kinds.is_null, _cast),
    (kinds.is_nested, _nested),
)
"""The first whose test holds converts; what none holds for is shown as Python shows it."""
