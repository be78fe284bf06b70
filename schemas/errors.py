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
    INTERRUPTED = 130
    TERMINATED = 143


class JobError(Exception):
    """A stop with a message for the user: a bad job file, manifest, key, lock or ledger.

    Shown as one message without a traceback; `fix` says what to do about it.
    """

    def __init__(self, message: str, *, fix: str = "", exit_code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code


class Reason(NamedTuple):
    """Why a run stops before its work is done. text: one line for people."""

    exit_code: ExitCode
    text: str
