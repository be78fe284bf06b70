"""What a run came to, in one value, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from jobs.mending import Failing, next_step
from schemas.errors import ExitCode
from schemas.failures import FailureKind, RowStatus

_PAID_FOR_NOTHING: Failing = (RowStatus.FAILED.value, FailureKind.BAD_CONTENT.value)


def finished_code(by_status: Mapping[str, int]) -> tuple[ExitCode, str]:
    """Exit code and reason of a run that did all its work."""
    others = {name: count for name, count in by_status.items() if name != RowStatus.SUCCEEDED.value and count}
    if not others:
        return ExitCode.OK, "every row succeeded"
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(others.items()))
    return ExitCode.SOME_FAILED, f"finished: {counts}"


def next_command(
    exit_code: ExitCode,
    by_status: Mapping[str, int],
    out: str,
    *,
    simulated: bool,
    by_kind: Mapping[tuple[str, str], int] | None = None,
) -> str:
    """The command that a user most likely wants now, to be typed as it is. A simulated folder stays so: the real run
    needs one of its own.

    by_kind: results rows that are not fine, by status and kind of failure; None where only the statuses are known.
    """
    folder, job = shlex.quote(out), shlex.quote(out + "/job.toml")
    failing = failing_groups(by_status, by_kind or {})
    match exit_code:
        case ExitCode.OK if simulated:
            return f"imagemill plan {job} --set simulate=false --out {shlex.quote(out + '-real')}"
        case ExitCode.OK | ExitCode.DAMAGED:
            return f"imagemill verify {folder}"
        case ExitCode.SOME_FAILED if failing:
            return next_step(failing, out)
        case ExitCode.SERVICE_DOWN if _PAID_FOR_NOTHING in failing:
            return f"imagemill failures {folder}"  # another run would pay for more of these
        case ExitCode.BUDGET:
            return f"imagemill plan {job}"
        case ExitCode.ACCOUNT:
            return f"imagemill doctor {job}"
        case _:
            return f"imagemill run {job}"


def failing_groups(by_status: Mapping[str, int], by_kind: Mapping[tuple[str, str], int]) -> set[Failing]:
    """Statuses and kinds of the results rows that are not fine; kind None where that is not known."""
    groups: set[Failing] = {group for group, count in by_kind.items() if count}
    named = {status for status, _ in groups}
    rest = (status for status, count in by_status.items() if count and status not in named)
    return groups | {(status, None) for status in rest if status != RowStatus.SUCCEEDED.value}
