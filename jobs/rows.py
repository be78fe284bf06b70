"""From manifest values to rows: ids, occurrence numbers, parameters, and every reason why a row cannot be sent."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.key_set import SeenKeys
from schemas.providers import DALLE_FIELDS
from schemas.request import FIELDS, MAX_PROMPT_CHARS, FieldRule, ImageRequest
from schemas.request_rules import document_of
from schemas.row import Row, RowProblem

_INTEGER = re.compile(r"\s*([+-]?\d{1,18})(?:\.0+)?\s*")
_SHOWN_CHARS = 60
_LENGTH = struct.Struct("<Q").pack


class RecordColumns(NamedTuple):
    """Records in manifest order, as columns of text.

    positions: places in the manifest, from 0. places: what to call each record. malformed: offset -> message.
    """

    positions: Sequence[int]
    places: Sequence[str]
    roles: Mapping[str, Sequence[str | None]]
    malformed: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class RequestDefaults:
    """What a row gets where it says nothing: body fields in `FIELDS` order, and extra fields.

    dropped: fields never sent. untaken: fields that the service refuses; they are not sent, with a warning.
    service: whose documents (`schemas.request_rules`) rows are held against, a profile's name; empty: nobody's.
    """

    fields: tuple[tuple[str, str | int], ...] = ()
    extra: tuple[tuple[str, Any], ...] = ()
    dropped: tuple[str, ...] = ()
    untaken: tuple[str, ...] = ()
    service: str = ""


class Params(NamedTuple):
    """The parameters of all rows that set the same fields, or the reason why they cannot be sent."""

    params: tuple[tuple[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str | None = None


@dataclass
class RowReader:
    """Turns records into rows, in manifest order. One reader reads one manifest once, from its start.

    columns: role -> the manifest's own column name, for messages. keys: what tells the rows of the last batch apart (their
    ids, or their content where they have none). repeated: keys that came more than once so far.
    """

    defaults: RequestDefaults
    columns: Mapping[str, str]
    keys: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    repeated: set[int] = field(default_factory=set)
    _ids: SeenKeys = field(default_factory=SeenKeys)
    _contents: SeenKeys = field(default_factory=SeenKeys)
    _repeats: dict[int, int] = field(default_factory=dict)
    _cache: dict[tuple[tuple[str, str], ...], Params] = field(default_factory=dict)

    def read(self, records: RecordColumns) -> list[Row | RowProblem]:
        """The records' rows. Repeated ids are problems (the first stands)."""
        count = len(records.places)
        fields = _row_fields(records, count)
        prompts: Sequence[str | None] = (
            records.roles["prompt"] if "prompt" in records.roles else [None] * count
        )
        ids, repeated = self._row_ids(records, prompts, fields)
        rows: list[Row | RowProblem] = []
        for i, (position, row_id, prompt, own) in enumerate(
            zip(records.positions, ids, prompts, fields, strict=True)
        ):
            message = records.malformed.get(i) if records.malformed else None
            if message is None and (prompt is None or len(prompt) > MAX_PROMPT_CHARS or not prompt.strip()):
                message = prompt_problem(prompt, records.places[i], self.columns)
            if message is None and repeated and i in repeated:
                message = self._repeat_message(records.places[i], row_id)
            params = self._params(own)
            if message is None and params.problem is not None:
                message = f"{records.places[i]}: {params.problem}"
            if message is not None or prompt is None:
                rows.append(RowProblem(position, row_id, prompt, message or "no prompt", own))
                continue
            request = ImageRequest(prompt, params.params)
            rows.append(
                Row(position, row_id, request, _digest((row_id, prompt, *_flat(own))), params.warnings)
            )
        return rows

    def _params(self, fields: tuple[tuple[str, str], ...]) -> Params:
        params = self._cache.get(fields)
        if params is None:
            params = self._cache[fields] = resolve_params(fields, self.defaults, self.columns)
            if len(self._cache) > 10_000:
                self._cache.clear()
        return params

    def _repeat_message(self, place: str, row_id: str) -> str:
        column = self.columns.get("id", "id")
        return (
            f"{place}: column {column!r} repeats {shown(row_id)}; the first row with it stands. "
            f"Give each row its own id, or keep the first of each with --distinct {column}"
        )

    def _row_ids(
        self,
        records: RecordColumns,
        prompts: Sequence[str | None],
        fields: Sequence[tuple[tuple[str, str], ...]],
    ) -> tuple[list[str], frozenset[int]]:
        """Row ids, and the offsets of those that repeat an earlier row's given id."""
        count = len(prompts)
        given = records.roles.get("id") or [None] * count
        ids = [value or "" for value in given]
        named = range(count)
        if records.malformed or not all(ids):
            named = [i for i in range(count) if ids[i] and i not in records.malformed]  # type: ignore[assignment]
        hashes = np.fromiter((hash(ids[i]) for i in named), np.int64, len(named)).view(np.uint64)
        marks = self._ids.add(hashes)
        self.repeated.update(hashes[marks].tolist())
        self.keys = np.zeros(count, dtype=np.uint64)
        self.keys[np.asarray(named, dtype=np.int64)] = hashes
        repeated = frozenset(named[at] for at in np.flatnonzero(marks).tolist())
        derived = [i for i in range(count) if not ids[i]]
        if derived:
            digests = [_digest((prompts[i] or "", *_flat(fields[i]))) for i in derived]
            contents = _keys(digest[:8] for digest in digests)
            seen = self._contents.add(contents)
            self.repeated.update(contents[seen].tolist())
            self.keys[derived] = contents
            for i, digest, mark in zip(derived, digests, seen.tolist(), strict=True):
                ids[i] = digest[:8].hex() + (f"-{self._occurrence(digest)}" if mark else "")
        return ids, repeated

    def _occurrence(self, digest: bytes) -> int:
        key = int.from_bytes(digest[:8], "little")
        self._repeats[key] = self._repeats.get(key, 0) + 1
        return self._repeats[key]


def prompt_problem(prompt: str | None, place: str, columns: Mapping[str, str]) -> str | None:
    """Why this prompt cannot be sent; None when it can."""
    column = columns.get("prompt", "prompt")
    if prompt is None or not prompt.strip():
        return f"{place}: column {column!r} is empty; every row needs a prompt"
    if len(prompt) > MAX_PROMPT_CHARS:
        return (
            f"{place}: column {column!r} holds {len(prompt):,} characters ({shown(prompt)}); "
            f"shorten it to {MAX_PROMPT_CHARS:,}"
        )
    return None


def resolve_params(
    fields: tuple[tuple[str, str], ...], defaults: RequestDefaults, columns: Mapping[str, str]
) -> Params:
    """Defaults overlaid by a row's own fields, as they will be sent."""
    values: dict[str, Any] = dict(defaults.fields)
    for name, text in fields:
        value = _field_value(FIELDS[name], text)
        if isinstance(value, _Bad):
            return Params(problem=f"column {columns.get(name, name)!r} is {shown(text)}; {value.fix}")
        values[name] = value
    if values.get("background") == "transparent" and values.get("output_format") in ("jpeg", "jpg"):
        return Params(
            problem="background 'transparent' cannot be stored as jpeg; set output_format to png or webp"
        )
    untaken = _untaken(values, defaults)
    not_sent = (*defaults.dropped, *untaken)
    kept = [(name, values[name]) for name in FIELDS if name in values and name not in not_sent]
    extra = [(name, value) for name, value in defaults.extra if name not in values]
    params = (*kept, *extra)
    warnings = [f"{name} is not sent: {defaults.service} refuses it" for name in untaken]
    document = document_of(defaults.service, values.get("model"))
    if document is None:
        return Params(params, (*warnings, *_unfamiliar(kept)))
    faults = list(document.param_faults(dict(params)))
    refused = next((fault.text for fault in faults if fault.is_refused), None)
    if refused is not None:
        return Params(problem=f"{refused}; change or leave out one of them")
    return Params(params, (*warnings, *(f"{fault.text}; it is sent as it is" for fault in faults)))


def _untaken(values: Mapping[str, Any], defaults: RequestDefaults) -> list[str]:
    """The fields set that this service refuses for the row's model."""
    taken = DALLE_FIELDS if str(values.get("model")).startswith("dall-e") else ()
    return [name for name in defaults.untaken if name in values and name not in (*taken, *defaults.dropped)]


def _unfamiliar(fields: Sequence[tuple[str, Any]]) -> Iterator[str]:
    for name, value in fields:
        known = FIELDS[name].known
        if known and str(value) not in known and not _is_size(name, value):
            yield f"{name} {shown(str(value))} is not one that imagemill knows; it is sent as it is"


@dataclass(frozen=True, slots=True)
class _Bad:
    fix: str


def _field_value(rule: FieldRule, text: str) -> str | int | _Bad:
    if rule.kind is not int:
        return text
    found = _INTEGER.fullmatch(text)
    low, high = rule.minimum, rule.maximum
    if found is None or low is None or high is None or not low <= int(found[1]) <= high:
        return _Bad(f"{rule.name} must be a whole number from {low} to {high}")
    return int(found[1])


def _is_size(name: str, value: object) -> bool:
    return name == "size" and re.fullmatch(r"\d{2,5}x\d{2,5}", str(value)) is not None


def shown(text: str) -> str:
    """`text` in quotes for a message, shortened, control characters escaped."""
    return repr(text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…")


def _row_fields(records: RecordColumns, count: int) -> list[tuple[tuple[str, str], ...]]:
    """What each row itself sets, in `FIELDS` order."""
    columns = [(name, records.roles[name]) for name in FIELDS if records.roles.get(name) is not None]
    if not columns:
        return [()] * count
    names = [name for name, _ in columns]
    return [
        tuple((name, value) for name, value in zip(names, values, strict=True) if value)
        for values in zip(*(values for _, values in columns), strict=True)
    ]


def _flat(fields: tuple[tuple[str, str], ...]) -> Iterator[str]:
    return (part for item in fields for part in item)


def _digest(parts: tuple[str, ...]) -> bytes:
    """16 bytes over the parts, each with its length before it, so that no two lists of parts look alike."""
    pieces = []
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        pieces.append(_LENGTH(len(encoded)))
        pieces.append(encoded)
    return blake2b(b"".join(pieces), digest_size=16).digest()


def _keys(digests: Iterable[bytes]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.frombuffer(b"".join(digests), dtype="<u8")


def part(row: Row, indexes: Sequence[int]) -> Row:
    """The row as a request for some of its images."""
    others = tuple((name, value) for name, value in row.request.params if name != "n")
    return row._replace(request=ImageRequest(row.request.prompt, (*others, ("n", len(indexes)))))
