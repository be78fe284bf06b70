"""The rights of an ordinary user, also where tests run as root: without what lets root write anywhere."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION_3 = 0x20080522
_OVERRIDES = (1 << 1) | (1 << 2) | (1 << 3)
"""CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER."""
_DROPPED = "-dac_override,-dac_read_search,-fowner"


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def ordinary() -> Iterator[None]:
    """In the block this thread may do what the permissions of files say, and no more."""
    if os.geteuid() != 0:
        yield
        return
    system, header, data = ctypes.CDLL(None, use_errno=True), _Header(_VERSION_3, 0), (_Data * 2)()
    if system.capget(ctypes.byref(header), data):
        pytest.skip("the rights of this thread cannot be read")
    before = data[0].effective
    data[0].effective = before & ~_OVERRIDES
    if system.capset(ctypes.byref(header), data):
        pytest.skip("the rights of this thread cannot be changed")
    try:
        yield
    finally:
        data[0].effective = before
        assert system.capset(ctypes.byref(header), data) == 0


def as_ordinary(command: list[str]) -> list[str]:
    """A command that runs with these rights."""
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv here")
    return ["setpriv", f"--bounding-set={_DROPPED}", f"--inh-caps={_DROPPED}", *command]
