"""The places that a run writes to, made and tried before its first request: what is paid for can be kept.

Tried is what no look can tell: rights, quotas, limits of this process. A file of the size of an image is written to the disk
of `images/` and given a name there, small ones to `quarantine/` and beside the results table.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jobs.naming import image_folder
from runner.artifacts.atomic_files import Folder
from runner.process.disk_errors import explained, explaining
from schemas.errors import ExitCode, JobError
from schemas.output_folder import IMAGES, JOB_NAME, LEDGER_NAME, QUARANTINE, RESULTS_NAME, SUMMARY_NAME, TRIAL

_IMAGE_BYTES = 2**21
"""What is written for an image. Random, so that a disk that compresses takes all of it."""
_SMALL_BYTES = 2**12
_LEAST_FILE_BYTES = 16 * 2**20
"""Ledger, results table and images are larger than a limit on the size of files is likely to allow for."""
_LONGEST_LEDGER = 511 - len("-journal")
"""Bytes that SQLite takes for the path of a file beside which it keeps its journals."""
_EFFECTIVE = os.access in os.supports_effective_ids
_FILES = (LEDGER_NAME, RESULTS_NAME, JOB_NAME, SUMMARY_NAME, ".lock")


def check_names(out: Path) -> None:
    """Raises JobError (exit 2) where a path is too long, or a folder stands where a file of ours goes."""
    longest = len(os.fsencode(out.resolve() / LEDGER_NAME))
    if longest > _LONGEST_LEDGER:
        raise JobError(
            f"the path of the output folder is too long by {longest - _LONGEST_LEDGER} bytes for SQLite",
            fix="choose a shorter --out",
        )
    for name in _FILES:
        if (out / name).is_dir():
            raise explained(IsADirectoryError(errno.EISDIR, "a folder stands in its place"), out / name)


def try_places(folder: Folder, next_attempt: int) -> None:
    """Make and try where images, quarantined bodies and the table go; nothing is left behind but the folders.

    next_attempt: the first attempt that will be sent. Raises JobError: exit 2 for what stands in the way and for missing
    rights, exit 9 for what this machine refuses.
    """
    _check_file_size()
    first = image_folder(next_attempt)
    for name in (IMAGES, first):
        with explaining(folder.root / name):
            _check_folder(folder.root / name)
            folder.make(name)
    for name in (IMAGES, *_later_folders(folder.root, first)):
        with explaining(folder.root / name):
            _check_folder(folder.root / name)
            if not os.access(folder.root / name, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    _try(folder, first, _IMAGE_BYTES, private=False)
    _try(folder, QUARANTINE, _SMALL_BYTES, private=True)
    _try(folder, "", _SMALL_BYTES, private=False)


def remove_trials(folder: Folder, next_attempt: int) -> None:
    """Remove what a run left that was killed while it tried places. Call only while holding the lock."""
    left = [folder.root / name / TRIAL for name in ("", QUARANTINE, image_folder(next_attempt))]
    for path in (*left, *(folder.root / IMAGES).glob("*.disk")):
        with suppress(OSError):
            path.unlink()


def _check_file_size() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft != resource.RLIM_INFINITY and soft < _LEAST_FILE_BYTES:
        raise JobError(
            f"files may have no more than {soft:,} bytes here (ulimit -f)",
            fix="ulimit -f unlimited",
            exit_code=ExitCode.LOCAL,
        )


def _later_folders(out: Path, first: str) -> Iterator[str]:
    """Folders of images beyond the first one that stand already, of another user's run perhaps."""
    with suppress(OSError):
        for name in sorted(os.listdir(out / IMAGES)):
            if name.isdigit() and len(name) >= 4 and f"{IMAGES}/{name}" > first:
                yield f"{IMAGES}/{name}"


def _check_folder(path: Path) -> None:
    """Raises OSError where something stands there that is no folder."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "a link stands there that leads nowhere") from None
        return
    if not stat.S_ISDIR(kind):
        raise NotADirectoryError(errno.ENOTDIR, "a file stands there, not a folder")


def _try(folder: Folder, name: str, size: int, *, private: bool) -> None:
    """Write a file into the folder as an image is written, and remove it."""
    probe = f"{name}/{TRIAL}".lstrip("/")
    path = folder.root / probe
    with explaining(path.parent):
        try:
            folder.save(probe, (os.urandom(size),), private=private, replace=True)
        finally:
            with suppress(OSError):
                path.unlink()
