"""The files and connections that this process may have open at once."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

from schemas.errors import ExitCode, JobError

RESERVED_DESCRIPTORS = 8
"""Enough to save two images: each opens two folders, the path to one of them, and the file."""


def raise_file_limit() -> None:
    """Raise the soft limit to the hard one; every connection takes a descriptor, and 1,024 is a common soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class DescriptorReserve:
    """Descriptors set aside at the start, so that what is in flight can still be saved when connections took the rest."""

    def __init__(self) -> None:
        """Raises JobError (exit 9) where there are not even these."""
        self._held: list[int] = []
        try:
            for _ in range(RESERVED_DESCRIPTORS):
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            self.release()
            raise JobError(
                f"this machine refused: {error.strerror}", fix="ulimit -n 1024", exit_code=ExitCode.LOCAL
            ) from error

    def release(self) -> None:
        """Give them back."""
        while self._held:
            os.close(self._held.pop())
