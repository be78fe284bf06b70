"""What a file system's refusals mean for the user: the exit code, and what to do about each."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ExitCode, JobError

_RIGHTS = "let this user write there (chown, or chmod g+w), or choose another --out"
_IN_THE_WAY = "move away what stands there, or choose another --out"
_QUOTA = "remove files, or have the quota raised; then run the same command again"
_NO_LOCKS = "this file system has no file locks: choose an --out on another disk"
_MEANINGS: dict[int, tuple[ExitCode, str]] = {
    errno.EACCES: (ExitCode.USAGE, _RIGHTS),
    errno.EPERM: (ExitCode.USAGE, _RIGHTS),
    errno.ENOTDIR: (ExitCode.USAGE, _IN_THE_WAY),
    errno.EISDIR: (ExitCode.USAGE, _IN_THE_WAY),
    errno.EEXIST: (ExitCode.USAGE, _IN_THE_WAY),
    errno.ELOOP: (ExitCode.USAGE, _IN_THE_WAY),
    errno.ENAMETOOLONG: (ExitCode.USAGE, "choose a shorter --out"),
    errno.ENOSPC: (ExitCode.LOCAL, "free some space (df) or inodes (df -i), and run the same command again"),
    errno.EDQUOT: (ExitCode.LOCAL, _QUOTA),
    errno.EFBIG: (ExitCode.LOCAL, "ulimit -f unlimited"),
    errno.EMFILE: (ExitCode.LOCAL, "ulimit -n 1024"),
    errno.ENFILE: (ExitCode.LOCAL, "close other programs, and run the same command again"),
    errno.EROFS: (ExitCode.LOCAL, "mount it so that it can be written, or choose another --out"),
    errno.EIO: (ExitCode.LOCAL, "see to the disk (dmesg), and run the same command again"),
    errno.ENOLCK: (ExitCode.LOCAL, _NO_LOCKS),
    errno.EOPNOTSUPP: (ExitCode.LOCAL, _NO_LOCKS),
    errno.ENOSYS: (ExitCode.LOCAL, _NO_LOCKS),
}
_OTHERS = (ExitCode.LOCAL, "see to the disk, and run the same command again")


def is_of_the_machine(error: Exception) -> bool:
    """Whether an error is a refusal of this machine, and no mistake of ours."""
    return isinstance(error, OSError) and error.errno in _MEANINGS


def advice(error: OSError) -> str:
    """What the user can do about it."""
    return _MEANINGS.get(error.errno or 0, _OTHERS)[1]


def explained(error: OSError, path: Path | str, doing: str = "cannot be written") -> JobError:
    """The error for the user: which path, what the system says, and what to do. doing: what of it failed."""
    code, fix = _MEANINGS.get(error.errno or 0, _OTHERS)
    return JobError(f"{path} {doing}: {error.strerror or error}", fix=fix, exit_code=code)


@contextmanager
def explaining(path: Path | str, doing: str = "cannot be written") -> Iterator[None]:
    """An OSError in the block becomes the JobError that explains it."""
    try:
        yield
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else ""
        raise explained(error, named if Path(named).is_absolute() else path, doing) from error
