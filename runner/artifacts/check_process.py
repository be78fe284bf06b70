"""An image looked at in a process of its own, which can be ended: for what may take long.

A decoder goes on until it is done, and no thread can be made to leave it: a progressive JPEG of two megabytes can have
scans for twenty minutes. The process has CPU for some seconds and lives for one image, so its memory goes with it. It
takes a tenth of a second to start, and only images beyond `PATIENCE_NS` get one.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from typing import Any

from runner.artifacts.image_checks import PATIENCE_NS, ImageInfo, SlowCheck, inspect_image
from schemas.artifacts import Check, NotAnImage

CPU_S = 20
WAIT_S = 60.0
"""Three times as long, because others want the processor too, or somebody has stopped the process."""
_LAST_LOOK_S = 1.0
"""If it was this process that was stopped meanwhile, the answer is there."""
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
CUT_SHORT = "the image could not be checked before the run was cut short"
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR")
_CODE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from runner.artifacts.check_process import main; main(sys.argv[2])"
)


def inspect_patiently(data: bytes, *, asked_format: str | None, check: Check) -> ImageInfo:
    """`inspect_image`, in a process of its own where it may take long. Raises NotAnImage, OSError."""
    try:
        return inspect_image(data, asked_format=asked_format, check=check, patience_ns=PATIENCE_NS)
    except SlowCheck:
        return CheckProcess().inspect(data, asked_format=asked_format, check=check)


class CheckProcess:
    """One check. wait_s: how long it may take, whatever CPU it gets."""

    def __init__(self, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def inspect(self, data: bytes, *, asked_format: str | None, check: Check) -> ImageInfo:
        """As `image_checks.inspect_image`, within the time there is.

        Raises:
            NotAnImage: also where it was ended, or could not be done in time or at all.
            OSError: this machine has too little for another process, now.
        """
        question = json.dumps([asked_format == "svg", *check])
        with self._starting:
            if self._ended:
                raise NotAnImage(CUT_SHORT)
            process = self._process = _start(question)
        with process:
            try:
                answer = self._answer(process, data)
            finally:
                process.kill()
        if self._ended:
            raise NotAnImage(CUT_SHORT)
        if answer is None:
            raise NotAnImage(f"the image could not be checked within {self._wait_s:g} s")
        if process.returncode == -signal.SIGXCPU:
            raise NotAnImage(f"the image could not be checked within {CPU_S} s of CPU")
        if process.returncode:
            raise NotAnImage(f"the image could not be checked: its decoder ended with {process.returncode}")
        return _info(json.loads(answer))

    def end(self) -> None:
        """Have it end at once, or not begin; from any thread."""
        with self._starting:
            self._ended = True
            if self._process is not None:
                self._process.kill()

    def _answer(self, process: subprocess.Popen[bytes], data: bytes) -> bytes | None:
        """What it says; None when it does not."""
        sent: bytes | None = data
        for seconds in (self._wait_s, _LAST_LOOK_S):
            try:
                return process.communicate(sent, timeout=seconds)[0]
            except subprocess.TimeoutExpired:
                sent = None
        return None


def _start(question: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-c", _CODE, json.dumps(sys.path), question],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            start_new_session=True,  # Ctrl-C is for the run, which decides what becomes of this
        )
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno in _SCARCE:
            raise
        raise NotAnImage(f"the image could not be checked: no process can be started ({error})") from None


def _info(answer: list[Any] | str) -> ImageInfo:
    if isinstance(answer, str):
        raise NotAnImage(answer)
    name, width, height, flags = answer
    return ImageInfo(name, width, height, tuple(flags))


def main(question: str) -> None:
    """Look at the image on stdin; the answer goes to stdout. question: whether a drawing was asked for, and `Check`."""
    _, most_s = resource.getrlimit(resource.RLIMIT_CPU)
    own_s = CPU_S if most_s == resource.RLIM_INFINITY else min(CPU_S, most_s)
    resource.setrlimit(resource.RLIMIT_CPU, (own_s, most_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    drawing, *check = json.loads(question)
    data = sys.stdin.buffer.read()
    answer: tuple[Any, ...] | str
    try:
        seen = inspect_image(data, asked_format="svg" if drawing else None, check=Check(*check))
        answer = (seen.format, seen.width, seen.height, seen.flags)
    except NotAnImage as problem:
        answer = str(problem)
    sys.stdout.write(json.dumps(answer))
