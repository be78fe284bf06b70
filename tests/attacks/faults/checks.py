"""What holds for every run whatever was done to it: secrets, origins, accounts, memory, files, repeatability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.attacks.faults.drive import MIXED_NAME, Ran
from tests.attacks.faults.exchange import SIGNATURE
from tests.attacks.faults.expectation import SUCCESS
from tests.attacks.faults.judge import Evidence, judge_row
from tests.support.canary import is_in, leaks

MAX_PEAK_BYTES = 1 << 30
"""Most resident memory of a run: interpreter and libraries take a quarter of it."""

ESCAPES = (b"\x1b]0;", b"\x1b[2J", b"\x1b[31m[bold", b"pwned\x07")
"""Pieces of the escapes that the server sends; no output of ours holds them."""


def _files_with(folder: Path, canary: bytes) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and canary in path.read_bytes()
    ]


def key_is_nowhere(ran: Ran) -> list[str]:
    """G14: the key is in 0 files of the run's folder, OUT among them, and 0 bytes of output."""
    problems = leaks(ran.out.parent)
    streams = {"stdout": ran.stdout, "stderr": ran.stderr}
    return problems + [f"key in {name}" for name, data in streams.items() if is_in(data)]


def signature_is_nowhere(ran: Ran) -> list[str]:
    """G14: signed URL queries are in no file but quarantine and, while they are not fetched, the ledger; in no output."""
    kept = ("quarantine/", "ledger.sqlite")
    found = [name for name in _files_with(ran.out, SIGNATURE.encode()) if not name.startswith(kept)]
    problems = [f"signed query in {name}" for name in found]
    streams = {"stdout": ran.stdout, "stderr": ran.stderr}
    return problems + [
        f"signed query in {name}" for name, data in streams.items() if SIGNATURE.encode() in data
    ]


def no_escapes_in_output(ran: Ran) -> list[str]:
    """Texts of the service are data: none of its escapes reaches a terminal."""
    return [f"{piece!r} in the output" for piece in ESCAPES if piece in ran.stdout + ran.stderr]


def nobody_abroad(ran: Ran) -> list[str]:
    """G13: no connection to any listener but the endpoint's, and no credential outside the base URL."""
    met = Counter(event["listener"] for event in ran.history.foreign())
    abroad = ran.history.credentials_abroad()
    return [f"{count} events at {name}" for name, count in met.items()] + [
        f"credentials at {event['path'].partition('?')[0]}" for event in abroad
    ]


def every_row_is_there(ran: Ran) -> list[str]:
    """G0: every manifest row is in results.parquet, once an image asked for, in order, its prompt unchanged."""
    wanted = [
        (row.position, index, row.prompt) for row in ran.rows for index in range(int(row.fields.get("n", 1)))
    ]
    records = [record for group in Evidence(ran).records.values() for record in group]
    found = [(record["row"], record["image_index"], record["prompt"]) for record in records]
    return (
        [] if found == wanted else [f"{len(found)} results rows do not match {len(wanted)} images asked for"]
    )


def plain_rows_succeed(ran: Ran) -> list[str]:
    """A row's fault is nobody else's: every plain row of the shared run succeeds with its own picture."""
    if ran.name != MIXED_NAME:
        return []
    evidence = Evidence(ran)
    plain = [row for row in ran.rows if row.fault is None]
    return [
        f"plain row {row.position}: {problem}"
        for row in plain
        for problem in judge_row(evidence, row, ((SUCCESS,),))
    ]


def attempts_are_requests(ran: Ran) -> list[str]:
    """`attempts` counts what the server saw (connections that died before a request count as well)."""
    reached = not ran.alone or not ran.alone.unseen
    rows = {row.position: row for row in ran.rows}
    pairs = [
        (group[0]["attempts"] or 0, ran.history.requests(rows[position].prompt), position)
        for position, group in Evidence(ran).records.items()
    ]
    return [
        f"row {position}: attempts {attempts}, the server saw {seen}"
        for attempts, seen, position in pairs
        if attempts < seen or (reached and attempts != seen)
    ]


def idempotency_keys_differ(ran: Ran) -> list[str]:
    """An `Idempotency-Key` is sent with every request and belongs to one row."""
    keys = Counter(
        next(iter(ran.history.idempotency_keys(row.prompt)))
        for row in ran.rows
        if ran.history.requests(row.prompt)
    )
    return [f"{key} used by {count} rows" for key, count in keys.items() if count > 1 or key is None]


def summary_tells_the_truth(ran: Ran) -> list[str]:
    """G15: the summary on stdout agrees with the exit code, the table and the server."""
    summary, records = ran.summary, [each for group in Evidence(ran).records.values() for each in group]
    ended = [record for record in records if record["status"] in ("failed", "parked", "invalid")]
    if not summary:
        return ["no JSON object on the last line of stdout"]
    sent = len(ran.history.all("request"))
    expected = {
        "exit_code": ran.exit_code,
        "rows": len(ran.rows),
        "by_status": dict(Counter(record["status"] for record in records)),
        "by_error": dict(Counter(record["error_kind"] for record in ended)),
    }
    found = {name: summary.get(name) for name in expected}
    for name in ("by_status", "by_error"):
        found[name] = {key: count for key, count in (summary.get(name) or {}).items() if count}
    problems = [
        f"{name}: {found[name]}, not {expected[name]}" for name in expected if found[name] != expected[name]
    ]
    exact = not ran.alone or not ran.alone.unseen
    if summary.get("requests_sent", -1) < sent or (exact and summary["requests_sent"] != sent):
        problems.append(f"requests_sent {summary.get('requests_sent')}, the server saw {sent}")
    return problems


def files_are_accounted_for(ran: Ran) -> list[str]:
    """G1, G8: every file below images/ is a recorded one (or an extra image), whole, and no temporary is left."""
    records = [each for group in Evidence(ran).records.values() for each in group]
    named = {record["file_name"] for record in records if record["file_name"]}
    extra = 2 * sum("extra_images" in (record["flags"] or ()) for record in records)
    there = {str(path.relative_to(ran.out)) for path in (ran.out / "images").rglob("*") if path.is_file()}
    problems = [f"missing {name}" for name in sorted(named - there)]
    if len(there - named) != extra:
        problems.append(f"{len(there - named)} files below images/ that no row names, {extra} expected")
    temporary = ("*.tmp", "*.part", ".tmp/**/*")
    strays = [path.name for form in temporary for path in ran.out.rglob(form) if path.is_file()]
    return problems + [f"left behind: {name}" for name in strays]


def memory_is_bounded(ran: Ran) -> list[str]:
    """G11: bombs and endless bodies do not show in the memory of the run."""
    return [] if ran.peak_bytes <= MAX_PEAK_BYTES else [f"{ran.peak_bytes >> 20} MiB resident"]


def it_ended(ran: Ran) -> list[str]:
    """G12, G15: the run ended by itself, not by an internal error; the shared one with 3 unless all succeeded."""
    if ran.exit_code is None:
        return ["hung and was killed"]
    if ran.exit_code == 1 or b"Traceback (most recent call last)" in ran.stderr:
        return [f"internal error, exit code {ran.exit_code}"]
    statuses = {record["status"] for group in Evidence(ran).records.values() for record in group}
    wanted = 0 if statuses == {"succeeded"} else 3
    if ran.name == MIXED_NAME and ran.exit_code != wanted:
        return [f"exit code {ran.exit_code}, not {wanted}"]
    return []


def again_changes_nothing(ran: Ran) -> list[str]:
    """G3, G9: the same command on the finished folder sends nothing and changes no byte."""
    if ran.again is None:
        return []
    problems = [f"{ran.again.requests} requests sent"] if ran.again.requests else []
    problems += [f"changed {name}" for name in ran.again.changed]
    return problems + ([] if ran.again.exit_code == ran.exit_code else [f"exit code {ran.again.exit_code}"])


CHECKS: dict[str, Callable[[Ran], list[str]]] = {
    check.__name__: check
    for check in (
        key_is_nowhere,
        signature_is_nowhere,
        no_escapes_in_output,
        nobody_abroad,
        every_row_is_there,
        plain_rows_succeed,
        attempts_are_requests,
        idempotency_keys_differ,
        summary_tells_the_truth,
        files_are_accounted_for,
        memory_is_bounded,
        it_ended,
        again_changes_nothing,
    )
}
"""Checks by name, each over one run."""


def check_all(runs: list[Ran]) -> dict[str, list[str]]:
    """Problems by check, over all runs."""
    return {
        name: [f"{ran.name}: {problem}" for ran in runs for problem in check(ran)]
        for name, check in CHECKS.items()
    }
