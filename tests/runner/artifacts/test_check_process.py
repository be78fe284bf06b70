"""Checks in a process of their own: the same verdicts, within their time, and ended when that is wanted."""

from __future__ import annotations

import functools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from runner.artifacts import check_process
from runner.artifacts.check_process import CheckProcess, inspect_patiently
from runner.artifacts.image_checks import ImageInfo, inspect_image
from schemas.artifacts import Check, NotAnImage
from tests.attacks.faults.pictures import HTML, picture, svg
from tests.support.images import drawn, jpeg_of_scans, mpo, plain
from tests.support.processes import busy_s, children
from tests.support.waiting import until

CHECK = Check(64_000_000)


@functools.cache
def endless() -> bytes:
    """Minutes of scans in two megabytes."""
    return jpeg_of_scans(4000, 20_000)


def beside(work: Callable[[], object]) -> tuple[threading.Thread, list[str]]:
    """A thread that looks, and why it ended."""
    reasons: list[str] = []

    def run() -> None:
        try:
            work()
        except NotAnImage as problem:
            reasons.append(str(problem))

    thread = threading.Thread(target=run)
    thread.start()
    return thread, reasons


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        *((picture("fox", form=form), None) for form in ("PNG", "JPEG", "WEBP", "GIF")),
        (mpo(), None),
        (plain("PNG"), "jpeg"),
        (drawn("PNG") + b"more", None),
        (svg("fox"), "svg"),
        (svg("fox"), None),
        (HTML, "a\0\ud800" * 30),
        (picture("fox")[:-9], None),
        (b"", None),
    ],
)
@pytest.mark.parametrize("check", [CHECK, Check(1000), Check(10**9, decode=False)])
def test_the_verdict_is_the_same(data: bytes, asked: str | None, check: Check) -> None:
    try:
        expected: object = inspect_image(data, asked_format=asked, check=check)
    except NotAnImage as problem:
        with pytest.raises(NotAnImage) as reasons:
            CheckProcess().inspect(data, asked_format=asked, check=check)
        assert str(reasons.value) == str(problem)
    else:
        assert CheckProcess().inspect(data, asked_format=asked, check=check) == expected


def test_only_what_may_take_long_gets_a_process() -> None:
    """Where no descriptor can be opened (limit 0: the open ones stay open), no process can be started."""
    assert inspect_patiently(drawn("PNG"), asked_format=None, check=CHECK) == ImageInfo(
        "png", 16, 8
    )  # modules loaded
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        assert inspect_patiently(drawn("PNG"), asked_format=None, check=CHECK) == ImageInfo("png", 16, 8)
        with pytest.raises(OSError, match="Too many open files"):
            inspect_patiently(endless(), asked_format=None, check=CHECK)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_large_picture_is_decoded_there() -> None:
    large = drawn("JPEG", size=(5000, 4000))
    assert inspect_patiently(large, asked_format=None, check=CHECK) == ImageInfo("jpeg", 5000, 4000)


@pytest.mark.parametrize("wanted", ["end", "SIGSTOP and end", "SIGXCPU", "SIGSEGV", "SIGKILL"])
def test_a_check_that_takes_long_can_be_ended(wanted: str) -> None:
    process = CheckProcess()
    thread, reasons = beside(lambda: process.inspect(endless(), asked_format=None, check=CHECK))
    until(lambda: len(children(os.getpid())) == 1)
    (child,) = children(os.getpid())
    until(lambda: busy_s(child) > 0.3)
    if wanted.startswith("SIG"):
        os.kill(child, getattr(signal, wanted.split()[0]))
    if wanted.endswith("end"):
        assert thread.is_alive()
        process.end()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert children(os.getpid()) == []
    expected = {
        "SIGXCPU": "could not be checked within 20 s of CPU",
        "SIGSEGV": "its decoder ended with -11",
        "SIGKILL": "its decoder ended with -9",
    }
    assert expected.get(wanted, "before the run was cut short") in reasons[0]


def test_one_that_is_ended_before_it_begins_does_not_begin() -> None:
    process = CheckProcess()
    process.end()
    with pytest.raises(NotAnImage, match="cut short"):
        process.inspect(drawn("PNG"), asked_format=None, check=CHECK)


def test_one_that_says_nothing_is_given_up() -> None:
    """Somebody has stopped it, or the machine has no CPU for it."""
    thread, reasons = beside(
        lambda: CheckProcess(wait_s=2).inspect(endless(), asked_format=None, check=CHECK)
    )
    until(lambda: len(children(os.getpid())) == 1)
    (child,) = children(os.getpid())
    until(
        lambda: busy_s(child) > 0.1
    )  # stopped before it is another program, it would hold up whoever starts it
    os.kill(child, signal.SIGSTOP)
    thread.join(timeout=30)
    assert reasons == ["the image could not be checked within 2 s"]
    assert children(os.getpid()) == []


LITTLE_TIME = """
import resource, sys
from runner.artifacts.check_process import CheckProcess
from schemas.artifacts import Check
resource.setrlimit(resource.RLIMIT_CPU, (15, 15))
print(CheckProcess().inspect(sys.stdin.buffer.read(), asked_format=None, check=Check(1000)).format)
"""


def test_it_works_under_a_limit_of_less_cpu() -> None:
    command = [sys.executable, "-c", LITTLE_TIME]
    done = subprocess.run(command, input=drawn("PNG"), capture_output=True, check=True, timeout=60)
    assert done.stdout == b"png\n"


@pytest.mark.slow
def test_the_processor_is_lent_for_some_seconds() -> None:
    """G12. The limit is the kernel's, in CPU; a minute of it is enough for any machine."""
    started = time.process_time()
    with pytest.raises(NotAnImage, match=f"within {check_process.CPU_S} s"):
        CheckProcess().inspect(endless(), asked_format=None, check=CHECK)
    assert time.process_time() - started < 60
