"""Exit codes of the command line, also `exit_code` in the summary."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class ExitCode(IntEnum):
    """The lower number is not the better one; docs/reference/exit-codes.md explains each."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    SOME_FAILED = 3
    ACCOUNT = 4
    SERVICE_DOWN = 5
    LOCKED = 6
    DAMAGED = 7
    BUDGET = 8
    LOCAL = 9
    MAX_DURATION = 10
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class JobError(Exception):
    """A stop with a message for the user: a bad job file, manifest, key, lock or ledger.

    The command line shows it as one message without a traceback. fix: what to do about it, also a note of the exception,
    so that a traceback ends with it. mistakes: those of a job, each for itself.
    """

    def __init__(
        self,
        message: str,
        *,
        fix: str = "",
        exit_code: ExitCode = ExitCode.USAGE,
        mistakes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code
        self.mistakes = mistakes
        if fix:
            self.add_note(f"fix: {fix}")

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the caller's own lines, the message and the fix, none of ours."""
        from traceback import extract_tb, format_exception_only, format_list

        home = __file__.removesuffix("schemas/errors.py")
        ours = tuple(f"{home}{name}/" for name in ("schemas", "jobs", "runner"))
        frames = [each for each in extract_tb(self.__traceback__) if not each.filename.startswith(ours)]
        return "".join([*format_list(frames[-1:]), *format_exception_only(self)]).splitlines()


class JobWarning(UserWarning):
    """What a Python program should know of a run that has ended: its notes, and that rows have failed."""


class Reason(NamedTuple):
    """Why a run stops before its work is done. text: one line for people."""

    exit_code: ExitCode
    text: str
