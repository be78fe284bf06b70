"""A key that may be nowhere: after the session every file that the tests left behind is searched for it (G14).

`CANARY` is the API key of tests that run the command or a part of it; where several keys must differ, and in campaigns, it
is another one with the same beginning. The plugin fails a test in whose child's output such a key appears, and the session
when one of the files below pytest's temporary folder holds one: plain, in base64 or hex, URL-quoted, or inside a Parquet
file. Folders that are gone by then are searched by who removes them (`leaks`).

Tests that write a key into a file, because users may, use another key; so do those whose key must not look like one, since
what looks like a key is hidden even where it is not known, and those for which the simulator refuses a key ("invalid").
"""

from __future__ import annotations

import base64
import io
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.output_folder import RESULTS_NAME

_BEGINNING = "-".join(("sk", "canary", ""))
CANARY = _BEGINNING + "91c7be52d0fa4e36"
WITH_CANARY = {"IMAGEMILL_API_KEY": CANARY}
"""Environment of a run against an endpoint of the test's own."""

_SOURCES = (".py", ".pyc")
_SHOWN = 20


def _forms(secret: bytes) -> Iterator[bytes]:
    """The secret as it may stand in other text. Base64 at each alignment, without the digits that neighbours share."""
    yield secret
    yield secret.hex().encode()
    yield secret.decode().encode("utf-16-le")
    for shift in range(3):
        digits = base64.b64encode(bytes(shift) + secret)
        yield digits[(0, 2, 3)[shift] : -4 if (shift + len(secret)) % 3 else None]


_FORMS = tuple(form.lower() for form in _forms(_BEGINNING.encode()))


def is_in(data: bytes) -> bool:
    """Whether a canary key shows in these bytes."""
    lowered = data.lower()
    return any(form in lowered for form in _FORMS)


def _content(path: Path) -> Iterator[bytes]:
    """The bytes of the file, and what is compressed in a table of ours (others may be hostile)."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # the log of a database whose last connection was collected just now
        return
    yield data
    if path.name == RESULTS_NAME:
        unpacked = pa.BufferOutputStream()
        with suppress(pa.ArrowException, OSError):
            table = pq.read_table(io.BytesIO(data))
            with pa.ipc.new_stream(unpacked, table.schema) as stream:
                stream.write_table(table)
        yield unpacked.getvalue().to_pybytes()


def files_with_canary(folder: Path) -> tuple[int, list[Path]]:
    """How many files below the folder were searched, and those that hold a canary key. Python sources are left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    searched = [path for path in files if path.suffix not in _SOURCES]
    return len(searched), [path for path in searched if any(map(is_in, _content(path)))]


def leaks(folder: Path) -> list[str]:
    """The files below the folder that hold a canary key, relative to it."""
    return [f"key in {path.relative_to(folder)}" for path in sorted(files_with_canary(folder)[1])]


class _Guarded(subprocess.Popen[Any]):
    """A child whose output is searched when it is collected."""

    def communicate(self, *arguments: Any, **named: Any) -> tuple[Any, Any]:
        collected = super().communicate(*arguments, **named)
        for text in collected:
            data = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
            if data and is_in(data):
                pytest.fail(f"the canary key is in the output of {self.args!r:.200}")
        return collected


def pytest_configure() -> None:
    """Listen to every child of the tests."""
    subprocess.Popen = _Guarded  # type: ignore[misc]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search what the session left, once for all workers."""
    if hasattr(session.config, "workerinput"):
        return
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    count, found = files_with_canary(factory.getbasetemp())
    session.config.stash[_SEARCHED] = count, found
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


_SEARCHED = pytest.StashKey[tuple[int, list[Path]]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was found."""
    count, found = terminalreporter.config.stash.get(_SEARCHED, (0, []))
    terminalreporter.write_line(f"canary key: in {len(found)} of {count:,} files", red=bool(found))
    for path in found[:_SHOWN]:
        terminalreporter.write_line(f"  {path}", red=True)
