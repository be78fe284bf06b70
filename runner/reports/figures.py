"""Figures of a report, gathered while its rows go by: cost by model and quality, pace, latencies, errors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.mending import mending
from runner.process.redaction import REDACTOR
from schemas.failures import RULES, FailureKind, RowStatus

_PERCENTILES = (50, 90, 95, 99)
_MOST_BUCKETS = 90
_STEPS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
_READ = (
    *("row_id", "image_index", "status", "model", "quality", "cost_usd", "latency_s", "finished_at"),
    *("error_kind", "error_message", "attempt", "revised_prompt"),
)
_EXAMPLES = 3

Group = tuple[str | None, str | None]


@dataclass
class _Sums:
    images: int = 0
    made: int = 0
    cost: float = 0.0
    priced: int = 0
    latencies: list[float] = field(default_factory=list)


@dataclass
class FolderFigures:
    """The figures of one folder. out: as typed, for the commands. revised: whether its service revises prompts at all."""

    out: str
    statuses: Counter[str] = field(default_factory=Counter)
    revised: bool = False
    _groups: dict[Group, _Sums] = field(default_factory=dict)
    _errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    _examples: dict[tuple[str, str], list[list[str]]] = field(default_factory=dict)
    _ends: list[int] = field(default_factory=list)
    _told: set[int] = field(default_factory=set)

    def add(self, table: pa.Table) -> None:
        """Count results rows."""
        for row in table.select(_READ).cast(_plain(table)).to_pylist():
            self.statuses[row["status"]] += 1
            sums = self._groups.setdefault((row["model"], row["quality"]), _Sums())
            sums.images += 1
            if row["cost_usd"] is not None:
                sums.cost += row["cost_usd"]
                sums.priced += 1
            if row["status"] == RowStatus.SUCCEEDED:
                self._add_success(row, sums)
            elif row["error_kind"] is not None and not (
                row["error_kind"] == FailureKind.STOPPED and row["attempt"] is None
            ):
                self._add_error(row)

    def _add_success(self, row: dict[str, Any], sums: _Sums) -> None:
        sums.made += 1
        self.revised = self.revised or row["revised_prompt"] is not None
        if row["finished_at"] is not None:
            self._ends.append(row["finished_at"])
        if row["latency_s"] is not None and row["attempt"] not in self._told:
            self._told.add(row["attempt"])
            sums.latencies.append(row["latency_s"])

    def _add_error(self, row: dict[str, Any]) -> None:
        group = row["status"], row["error_kind"]
        self._errors[group] += 1
        examples = self._examples.setdefault(group, [])
        if len(examples) < _EXAMPLES:
            message = REDACTOR.hide(row["error_message"] or "")
            if all(message != told for _, told in examples):
                examples.append([row["row_id"], message])

    def to_dict(self) -> dict[str, Any]:
        """The figures as the page reads them; seconds, USD, images."""
        every = [one for sums in self._groups.values() for one in sums.latencies]
        return {
            "statuses": dict(self.statuses),
            "revised": self.revised,
            "groups": [_group(*item) for item in sorted(self._groups.items(), key=_by_images)],
            "latency": percentiles(every),
            "pace": pace(self._ends),
            "errors": [self._error(*item) for item in self._errors.most_common()],
        }

    def _error(self, group: tuple[str, str], count: int) -> dict[str, Any]:
        status, kind = group
        return {
            "status": status,
            "kind": kind,
            "images": count,
            "meaning": RULES[FailureKind(kind)].meaning,
            "examples": self._examples[group],
            **mending(status, kind, self.out)._asdict(),
        }


def percentiles(seconds: list[float]) -> dict[str, Any] | None:
    """Percentiles and a histogram of 24 bars between 0 and the 99th; None of nothing."""
    if not seconds:
        return None
    values = np.asarray(seconds)
    found = np.percentile(values, _PERCENTILES)
    top = max(float(found[-1]), 0.001)
    bars, _ = np.histogram(np.minimum(values, top), bins=24, range=(0, top))
    return {
        "percentiles": {
            f"p{each}": round(float(value), 3) for each, value in zip(_PERCENTILES, found, strict=True)
        },
        "bars": bars.tolist(),
        "top": round(top, 3),
        "requests": len(seconds),
    }


def pace(ends_ms: list[int]) -> dict[str, Any] | None:
    """Images a minute over time; pauses between runs are cut out. start: Unix milliseconds; step_s: width of a point."""
    if not ends_ms:
        return None
    ends = np.sort(np.asarray(ends_ms, dtype=np.int64)) / 1000
    gaps = np.diff(ends)
    long = gaps > max(600.0, 20 * float(np.median(gaps)) if len(gaps) else 0)
    active = np.concatenate([[0.0], np.cumsum(np.where(long, 60.0, gaps))])
    spent = float(active[-1]) or 1.0
    step = next((each for each in _STEPS_S if spent / each <= _MOST_BUCKETS), _STEPS_S[-1])
    counts = np.bincount((active // step).astype(np.int64))
    return {
        "start": int(ends[0] * 1000),
        "end": int(ends[-1] * 1000),
        "step_s": step,
        "spent_s": round(spent, 1),
        "pauses": int(long.sum()),
        "per_minute": [round(float(count) * 60 / step, 2) for count in counts],
    }


def _group(group: Group, sums: _Sums) -> dict[str, Any]:
    model, quality = group
    found = percentiles(sums.latencies)
    return {
        "model": model,
        "quality": quality,
        "images": sums.images,
        "made": sums.made,
        "cost_usd": round(sums.cost, 6) if sums.priced else None,
        "each_usd": round(sums.cost / sums.made, 6) if sums.priced and sums.made else None,
        "latency": None if found is None else found["percentiles"],
    }


def _by_images(item: tuple[Group, _Sums]) -> tuple[int, str]:
    return -item[1].images, str(item[0])


def _plain(table: pa.Table) -> pa.Schema:
    """The columns with times as Unix milliseconds."""
    fields = [table.schema.field(name) for name in _READ]
    return pa.schema([each.with_type(pa.int64()) if each.name == "finished_at" else each for each in fields])
