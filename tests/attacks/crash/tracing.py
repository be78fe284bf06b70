"""What a run asked of the kernel, in order: every change to files, every sync, every byte sent; recorded by strace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    *("openat", "open", "creat", "mkdir", "mkdirat", "write", "pwrite64", "writev", "pwritev", "pwritev2"),
    *("ftruncate", "truncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "copy_file_range"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "link", "linkat", "sendfile"),
    *("sendto", "sendmsg"),
)
_LINE = re.compile(r"(\d+) +(.*)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<.*>)?(?: \(.*\))?$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"(-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_NUMBER = re.compile(r"\b\d+\b")
_UNFINISHED = " <unfinished ...>"


@dataclass(frozen=True, slots=True)
class Op:
    """One system call that succeeded. paths: absolute, of its files in order. data: bytes written or sent.

    numbers: what follows the data or the descriptor. descriptor: of the first file. created: an open that may create.
    """

    call: str
    paths: tuple[str, ...]
    data: bytes = b""
    numbers: tuple[int, ...] = ()
    descriptor: str = ""
    created: bool = False
    truncated: bool = False


def unavailable() -> str | None:
    """Why nothing can be traced here; None when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.decode()[:200]}"


def record(command: list[str], *, cwd: Path, environ: dict[str, str], log: Path) -> int:
    """Run a command under strace; its exit code, negative for the signal that killed it."""
    tracer = ["strace", "-f", "-y", "-xx", "-s", str(2**24), "--seccomp-bpf", "-o", str(log)]
    with log.with_suffix(".stdout").open("wb") as out, log.with_suffix(".stderr").open("wb") as err:
        ran = subprocess.run(
            [*tracer, "-e", f"trace={','.join(CALLS)}", *command],
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=False,
        )
    return ran.returncode


def read(log: Path, cwd: Path) -> list[Op]:
    """The calls of a log that succeeded, as they returned; bytes count as sent from the moment of the call."""
    found: list[Op | None] = []
    begun: dict[str, tuple[str, int]] = {}
    for line in log.read_text(encoding="ascii").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        thread, text = match.groups()
        if text.endswith(_UNFINISHED):
            found.append(None)
            begun[thread] = (text.removesuffix(_UNFINISHED), len(found) - 1)
            continue
        resumed = _RESUMED.match(text)
        place = None
        if resumed is not None:
            start, place = begun.pop(thread)
            text = start + resumed[1]
        op = _parse(text, cwd)
        if op is not None and place is not None and op.call.startswith("send"):
            found[place] = op
        else:
            found.append(op)
    return [op for op in found if op is not None]


def _parse(text: str, cwd: Path) -> Op | None:
    match = _CALL.match(text)
    if match is None or match[3].startswith("-"):
        return None
    call, arguments, returned = match.groups()
    descriptors = [(number, _decoded(path).decode()) for number, path in _DESCRIPTOR.findall(arguments)]
    texts = [_decoded(each) for each in _TEXT.findall(_DESCRIPTOR.sub("", arguments))]
    tail = _DESCRIPTOR.sub("", _TEXT.sub("", arguments))
    numbers = tuple(int(each) for each in _NUMBER.findall(tail))
    first = descriptors[0] if descriptors else ("", str(cwd))
    if call in ("write", "pwrite64", "sendto"):
        return Op(call, (first[1],), texts[0][: int(returned)] if texts else b"", numbers, first[0])
    if not texts:
        return Op(call, (first[1],), b"", numbers, first[0])
    folders = [path for _, path in descriptors] or [str(cwd)]
    names = [path.decode() for path in texts]
    paths = tuple(os.path.normpath(Path(folders[min(i, len(folders) - 1)]) / n) for i, n in enumerate(names))
    return Op(call, paths, b"", numbers, first[0], "O_CREAT" in arguments, "O_TRUNC" in arguments)


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
