"""Decides, from the results table, the folder and the server's journal, whether each fault came to a required end."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.attacks.faults import pictures
from tests.attacks.faults.drive import Planned, Ran
from tests.attacks.faults.expectation import SUCCESS, End, Fault, Range

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one fault came to. problems: empty when a required end was reached."""

    name: str
    group: str
    outcome: str
    problems: tuple[str, ...]


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def sums_below(folder: Path) -> dict[str, Path]:
    """Files below a folder by their sha256."""
    return {sha256(path.read_bytes()): path for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Evidence:
    """A finished run, indexed for judging."""

    ran: Ran

    @cached_property
    def records(self) -> dict[int, list[Record]]:
        """Results rows by manifest position, in order of `image_index`."""
        path = self.ran.out / "results.parquet"
        grouped: dict[int, list[Record]] = defaultdict(list)
        for record in pq.read_table(path).to_pylist() if path.exists() else []:
            grouped[record["row"]].append(record)
        return grouped

    @cached_property
    def quarantined(self) -> frozenset[str]:
        """sha256 of every file in quarantine/."""
        return frozenset(sums_below(self.ran.out / "quarantine"))

    @cached_property
    def images(self) -> dict[str, Path]:
        """Files below images/ by sha256."""
        return sums_below(self.ran.out / "images")

    def paid_bodies(self, prompt: str) -> set[str]:
        """sha256 of what was handed over under 2xx for a prompt: answer bodies, and images behind URLs."""
        history = self.ran.history
        answers = [event for event in history.of("flushed", prompt) if event["status"] < 300]
        bodies = {each for event in answers for each in event["body_sha256"]}
        return bodies | {event["data_sha256"] for event in history.of("get", prompt)}


def outside(value: float, limits: Range, what: str) -> list[str]:
    """A problem when `value` is not within the inclusive limits."""
    low, high = limits
    if low <= value <= high:
        return []
    return [f"{what} {value}, not {low}" + (f" to {high}" if high != low else "")]


def misses(evidence: Evidence, planned: Planned, record: Record, end: End) -> list[str]:
    """In what one results row differs from one allowed end."""
    found = (record["status"], record["error_kind"])
    problems = (
        [] if found == (end.status, end.kind) else [f"{found[0]}/{found[1]}, not {end.status}/{end.kind}"]
    )
    problems += outside(evidence.ran.history.requests(planned.prompt), end.requests, "requests")
    problems += outside(record["maybe_billed"] or 0, end.billed, "maybe_billed")
    if lacking := end.flags - set(record["flags"] or ()):
        problems.append(f"lacks flags {sorted(lacking)}")
    kept = bool(evidence.paid_bodies(planned.prompt) & evidence.quarantined)
    if end.quarantine is not None and kept != end.quarantine:
        problems.append(f"paid body {'is' if kept else 'is not'} in quarantine")
    if end.status == "succeeded":
        problems += misses_picture(evidence, planned, record, end)
    return problems


def own_picture(planned: Planned, index: int) -> bytes:
    """The picture that the server makes for one image of a row."""
    size = planned.fields.get("size", "")
    wanted = tuple(int(part) for part in size.split("x")) if size else None
    form = planned.fields.get("output_format", "png").upper()
    return pictures.picture(planned.prompt, index, size=wanted, form=form)  # type: ignore[arg-type]


def misses_picture(evidence: Evidence, planned: Planned, record: Record, end: End) -> list[str]:
    """What is wrong with the file of a succeeded row."""
    path = evidence.ran.out / (record["file_name"] or "no-file")
    if not path.is_file():
        return ["succeeded without a file"]
    data = path.read_bytes()
    if sha256(data) != record["sha256"]:
        return ["file differs from its recorded sha256"]
    if end.own_picture and data != own_picture(planned, record["image_index"]):
        return ["file is not the picture made for this prompt"]
    return []


def money(evidence: Evidence, planned: Planned, records: list[Record]) -> list[str]:
    """What is wrong with the money: every charge shows, and without leave none is made twice."""
    charged = evidence.ran.history.charged_requests(planned.prompt)
    yielded = any(record["status"] == "succeeded" for record in records)
    shown = yielded + max((record["maybe_billed"] or 0 for record in records), default=0)
    problems = [] if charged <= shown else [f"charged {charged} times, {shown} show"]
    again = evidence.ran.alone and "--on-ambiguous" in evidence.ran.alone.options
    if charged > 1 and not again:
        problems.append(f"paid {charged} times")
    return problems


def conduct(evidence: Evidence, planned: Planned, fault: Fault) -> list[str]:
    """What is wrong with the requests: their waits, fetches, sizes and Idempotency-Keys."""
    history, prompt = evidence.ran.history, planned.prompt
    problems = outside(len(history.of("get", prompt)), fault.gets, "fetches")
    times, refusals = history.request_times(prompt), history.of("refused", prompt)
    if fault.wait_s and refusals and len(times) > 1 and times[1] - refusals[0]["time"] < fault.wait_s:
        problems.append(f"sent again before the {fault.wait_s} s it was told to wait")
    if fault.max_sent_bytes:
        sent = max((event["sent"] for event in history.of("closed_by_client", prompt)), default=2**31)
        problems += outside(sent, (0, fault.max_sent_bytes), "bytes taken")
    keys = history.idempotency_keys(prompt)
    if None in keys or len(keys) > 1:
        problems.append(f"Idempotency-Keys {keys}")
    return problems


def extra_files(evidence: Evidence, planned: Planned, fault: Fault) -> list[str]:
    """Images beyond the asked ones that are not kept."""
    if fault.saved is None:
        return []
    kept = sum(sha256(own_picture(planned, index)) in evidence.images for index in range(fault.saved))
    return outside(kept, (fault.saved, fault.saved), "images kept")


def judge_row(evidence: Evidence, planned: Planned, ends: tuple[tuple[End, ...], ...]) -> list[str]:
    """Problems of one manifest row, whose images may come to the ends given for each index."""
    records = evidence.records.get(planned.position, [])
    if [record["image_index"] for record in records] != list(range(len(ends))):
        return [f"{len(records)} results rows, not {len(ends)}"]
    problems: list[str] = []
    for record, allowed in zip(records, ends, strict=True):
        if record["prompt"] != planned.prompt:
            problems.append("prompt changed")
        fewest = min((misses(evidence, planned, record, end) for end in allowed), key=len)
        problems += fewest
    return problems + money(evidence, planned, records)


def outcome_of(records: list[Record]) -> str:
    """A row's outcome in a few words, for the table."""
    words = dict.fromkeys(f"{record['status']} {record['error_kind'] or ''}".strip() for record in records)
    return ", ".join(words) or "no rows"


def judge_fault(evidence: Evidence, fault: Fault) -> Verdict:
    """The verdict over all rows of one fault."""
    n = int(fault.fields.get("n", 1))
    ends = tuple(fault.ends_of(index) for index in range(n))
    problems: list[str] = []
    outcomes: dict[str, None] = {}
    for planned in (row for row in evidence.ran.rows if row.fault is fault):
        found = judge_row(evidence, planned, ends)
        found += conduct(evidence, planned, fault) + extra_files(evidence, planned, fault)
        problems += found
        outcomes[outcome_of(evidence.records.get(planned.position, []))] = None
    problems += judge_run(evidence) if evidence.ran.alone else []
    return Verdict(fault.name, fault.group, "; ".join(outcomes), tuple(dict.fromkeys(problems)))


def judge_run(evidence: Evidence) -> list[str]:
    """Problems of a run of one fault: exit code, the plain rows, how much was sent and when."""
    ran, alone = evidence.ran, evidence.ran.alone
    assert alone
    problems = []
    if ran.exit_code not in alone.exit_codes:
        problems.append(f"exit code {ran.exit_code}, not {sorted(alone.exit_codes)}")
    problems += outside(len(ran.history.all("request")), alone.total_requests, "requests in all")
    for planned in (row for row in ran.rows if row.fault is None):
        found = judge_row(evidence, planned, (alone.others or (SUCCESS,),))
        problems += [f"plain row: {problem}" for problem in found]
    return problems + broken_silence(ran)


def broken_silence(ran: Ran) -> list[str]:
    """Requests that arrived while everybody had been told to wait."""
    refusals = ran.history.all("refused")
    if not ran.alone or not ran.alone.silence_s or not refusals:
        return []
    start = refusals[0]["time"]
    window = (start + ran.alone.grace_s, start + ran.alone.silence_s)
    early = [each for each in ran.history.all("request") if window[0] < each["time"] < window[1]]
    return [f"{len(early)} requests while everybody was told to wait"] if early else []


def judge_all(runs: list[Ran]) -> list[Verdict]:
    """A verdict for every fault that was run."""
    verdicts = []
    for ran in runs:
        evidence = Evidence(ran)
        faults = {row.fault.name: row.fault for row in ran.rows if row.fault}
        verdicts += [judge_fault(evidence, fault) for fault in faults.values()]
    return verdicts
