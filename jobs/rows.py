"""From manifest values to rows: ids, occurrence numbers, parameters, and every reason why a row cannot be sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.fingerprints import digest_of, fingerprint, flat, keys
from jobs.key_set import SeenKeys
from jobs.quoting import quoted
from jobs.sizes import size_problem
from jobs.suspect_prompts import Suspects
from schemas.providers import DALLE_FIELDS
from schemas.request import FIELDS, MAX_PROMPT_CHARS, FieldRule, ImageRequest
from schemas.request_rules import rules_of
from schemas.row import Row, RowProblem

_INTEGER = re.compile(r"\s*([+-]?\d{1,18})(?:\.0+)?\s*")


class RecordColumns(NamedTuple):
    """Records in manifest order, as columns of text.

    positions: in the manifest, from 0. locations: what messages call each record. malformed: offset -> message.
    """

    positions: Sequence[int]
    locations: Sequence[str]
    roles: Mapping[str, Sequence[str | None]]
    malformed: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class RequestDefaults:
    """Defaults for fields that a row does not set: body fields in `FIELDS` order, and extra fields.

    dropped: fields never sent. untaken: fields that the service refuses; they are not sent, with a warning.
    service: the profile whose rules (`schemas.request_rules`) rows are checked against; empty: no rules.
    odd_sizes: whether `size` may be of any form, because the service gets it as another field.
    """

    fields: tuple[tuple[str, str | int], ...] = ()
    extra: tuple[tuple[str, Any], ...] = ()
    dropped: tuple[str, ...] = ()
    untaken: tuple[str, ...] = ()
    service: str = ""
    odd_sizes: bool = False


class Params(NamedTuple):
    """The parameters of all rows that set the same fields, or the reason why they cannot be sent."""

    params: tuple[tuple[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str | None = None


@dataclass
class RowReader:
    """Turns records into rows, in manifest order. One reader reads one manifest once, from its start.

    columns: role -> the manifest's own column name, for messages. keys: hashes of the last batch's ids, or of the content of
    rows without one. repeated: keys that came more than once so far.
    """

    defaults: RequestDefaults
    columns: Mapping[str, str]
    keys: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    repeated: set[int] = field(default_factory=set)
    _ids: SeenKeys = field(default_factory=SeenKeys)
    _contents: SeenKeys = field(default_factory=SeenKeys)
    _repeats: dict[int, int] = field(default_factory=dict)
    _suspects: Suspects = field(default_factory=Suspects)
    _cache: dict[tuple[tuple[str, str], ...], Params] = field(default_factory=dict)

    def read(self, records: RecordColumns) -> list[Row | RowProblem]:
        """The records' rows. Repeated ids are problems (the first stands)."""
        prompts, fields = _prompts(records), _row_fields(records, len(records.locations))
        ids, repeated = self._row_ids(records, prompts, fields)
        rows: list[Row | RowProblem] = []
        for i, (position, row_id, prompt, own) in enumerate(
            zip(records.positions, ids, prompts, fields, strict=True)
        ):
            params = self._params(own)
            message = self._problem(records, i, prompt, params)
            if message is None and repeated and i in repeated:
                message = self._repeat_message(records.locations[i], row_id)
            if message is not None or prompt is None:
                rows.append(RowProblem(position, row_id, prompt, message or "no prompt", own))
                continue
            odd = self._suspects.warning(prompt, records.locations, i)
            warnings = params.warnings if odd is None else (*params.warnings, odd)
            request = ImageRequest(prompt, params.params)
            rows.append(Row(position, row_id, request, fingerprint(row_id, prompt, own), warnings))
        return rows

    def requests(self, records: RecordColumns) -> Iterator[ImageRequest | None]:
        """What each record's row asks for, None where `read` would have a problem. A reader serves this or `read` alone."""
        prompts, fields = _prompts(records), _row_fields(records, len(records.locations))
        ids = records.roles.get("id")
        repeated = frozenset() if ids is None else self._repeated_ids(records, [each or "" for each in ids])
        for i, (prompt, own) in enumerate(zip(prompts, fields, strict=True)):
            params = self._params(own)
            sendable = i not in repeated and self._problem(records, i, prompt, params) is None
            yield ImageRequest(prompt, params.params) if sendable and prompt is not None else None

    def _problem(self, records: RecordColumns, index: int, prompt: str | None, params: Params) -> str | None:
        """Why a record is no row that can be sent, whatever other records hold."""
        if records.malformed and index in records.malformed:
            return records.malformed[index]
        if prompt is None or len(prompt) > MAX_PROMPT_CHARS or not prompt.strip():
            return prompt_problem(prompt, records.locations[index], self.columns)
        return None if params.problem is None else f"{records.locations[index]}: {params.problem}"

    def _params(self, fields: tuple[tuple[str, str], ...]) -> Params:
        params = self._cache.get(fields)
        if params is None:
            params = self._cache[fields] = resolve_params(fields, self.defaults, self.columns)
            if len(self._cache) > 10_000:
                self._cache.clear()
        return params

    def _repeat_message(self, location: str, row_id: str) -> str:
        column = self.columns.get("id", "id")
        return (
            f"{location}: column {column!r} repeats {quoted(row_id)}; the first row with it stands. "
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
        repeated = self._repeated_ids(records, ids)
        derived = [i for i in range(count) if not ids[i]]
        if derived:
            unread = records.malformed  # such rows are told apart by nothing that may be wrong in them
            digests = [
                digest_of(("",) if i in unread else (prompts[i] or "", *flat(fields[i]))) for i in derived
            ]
            contents = keys(digest[:8] for digest in digests)
            seen = self._contents.add(contents)
            self.repeated.update(contents[seen].tolist())
            self.keys[derived] = contents
            for i, digest, mark in zip(derived, digests, seen.tolist(), strict=True):
                ids[i] = digest[:8].hex() + (f"-{self._occurrence(digest)}" if mark else "")
        return ids, repeated

    def _repeated_ids(self, records: RecordColumns, ids: Sequence[str]) -> frozenset[int]:
        """Offsets of given ids that an earlier record has. Sets the keys of the batch's given ids, 0 for others."""
        count = len(ids)
        named = range(count)
        if records.malformed or not all(ids):
            named = [i for i in range(count) if ids[i] and i not in records.malformed]  # type: ignore[assignment]
        hashes = np.fromiter((hash(ids[i]) for i in named), np.int64, len(named)).view(np.uint64)
        marks = self._ids.add(hashes)
        self.repeated.update(hashes[marks].tolist())
        self.keys = np.zeros(count, dtype=np.uint64)
        self.keys[np.asarray(named, dtype=np.int64)] = hashes
        return frozenset(named[at] for at in np.flatnonzero(marks).tolist())

    def _occurrence(self, digest: bytes) -> int:
        key = int.from_bytes(digest[:8], "little")
        self._repeats[key] = self._repeats.get(key, 0) + 1
        return self._repeats[key]


def _prompts(records: RecordColumns) -> Sequence[str | None]:
    return records.roles["prompt"] if "prompt" in records.roles else [None] * len(records.locations)


def prompt_problem(prompt: str | None, location: str, columns: Mapping[str, str]) -> str | None:
    """Why this prompt cannot be sent; None when it can."""
    column = columns.get("prompt", "prompt")
    if prompt is None:
        return f"{location}: column {column!r} holds no text; every row needs a prompt"
    if not prompt.strip():
        return f"{location}: column {column!r} is empty; every row needs a prompt"
    if len(prompt) > MAX_PROMPT_CHARS:
        return (
            f"{location}: column {column!r} holds {len(prompt):,} characters ({quoted(prompt)}); "
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
            return Params(problem=f"column {columns.get(name, name)!r} is {quoted(text)}; {value.fix}")
        values[name] = value
    if "size" in values and not (defaults.odd_sizes or "size" in defaults.dropped):
        name = (
            f"column {columns.get('size', 'size')!r}" if any(name == "size" for name, _ in fields) else "size"
        )
        if (problem := size_problem(str(values["size"]), name)) is not None:
            return Params(problem=problem)
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
    document = rules_of(defaults.service, values.get("model"))
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
            yield f"{name} {quoted(str(value))} is not one that imagemill knows; it is sent as it is"


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


def partial_row(row: Row, indexes: Sequence[int]) -> Row:
    """The row as a request for some of its images."""
    others = tuple((name, value) for name, value in row.request.params if name != "n")
    return row._replace(request=ImageRequest(row.request.prompt, (*others, ("n", len(indexes)))))
