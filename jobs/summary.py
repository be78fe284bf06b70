"""What a run came to, in one value, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from schemas.errors import ExitCode
from schemas.failures import FailureKind, RowStatus


def finished_code(by_status: Mapping[str, int]) -> tuple[ExitCode, str]:
    """Exit code and reason of a run that did all its work."""
    others = {name: count for name, count in by_status.items() if name != RowStatus.SUCCEEDED.value and count}
    if not others:
        return ExitCode.OK, "every row succeeded"
    told = ", ".join(f"{count:,} {name}" for name, count in sorted(others.items()))
    return ExitCode.SOME_FAILED, f"finished: {told}"


def next_command(
    exit_code: ExitCode,
    by_status: Mapping[str, int],
    out: str,
    *,
    simulated: bool,
    by_error: Mapping[str, int] | None = None,
    cap: str = "--max-cost",
) -> str:
    """The command that a user most likely wants now. A simulated folder stays so: the real run needs one of its own.

    cap: the option of the budget that was reached.
    """
    folder, job = shlex.quote(out), shlex.quote(out + "/job.toml")
    again = f"imagemill run {job}"
    match exit_code:
        case ExitCode.OK if simulated:
            return f"imagemill plan {job} --set simulate=false --out {shlex.quote(out + '-real')}"
        case ExitCode.OK:
            return f"imagemill verify {folder}"
        case ExitCode.SOME_FAILED:
            return _after_failures(
                by_status, folder, job, (by_error or {}).get(FailureKind.TASK_TIMEOUT.value, 0)
            )
        case ExitCode.BUDGET:
            return f"{again} {cap} …"
        case ExitCode.ACCOUNT:
            return f"imagemill doctor {job}"
        case _:
            return again


def _after_failures(by_status: Mapping[str, int], folder: str, job: str, unfinished: int) -> str:
    if unfinished:
        return f"imagemill run {job}"
    if by_status.get(RowStatus.FAILED.value):
        return f"imagemill retry {folder}"
    if by_status.get(RowStatus.PARKED.value):
        return f"imagemill retry {folder} --parked"
    return f"imagemill plan {job}"
