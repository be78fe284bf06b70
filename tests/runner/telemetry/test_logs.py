"""Everything that is logged goes to stderr, through the redaction."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterator

import pytest
import structlog

from runner.config.credentials import REDACTOR
from runner.telemetry.logs import configure_logging

SECRET = "log-secret-4711"
REDACTOR.register(SECRET)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, levels = (
        root.handlers[:],
        {name: logging.getLogger(name).level for name in ("", "runner", "jobs", "schemas")},
    )
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(False)


def speak() -> None:
    ours = logging.getLogger("runner.engine")
    ours.info(
        "sent",
        extra={
            "key": SECRET,
            "url": "https://h/a.png?sig=abc",
            "prompt": "a\x1b[31m\nb",
            "nested": {"k": [SECRET]},
        },
    )
    ours.warning("odd", extra={"error": ValueError(f"Bearer {SECRET}")})
    try:
        raise RuntimeError(f"with {SECRET}")
    except RuntimeError:
        logging.getLogger("aiohttp.client").exception("foreign %s", SECRET)
    warnings.warn(f"warned {SECRET}", stacklevel=1)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_g14_no_secret_in_any_part_of_a_line(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    logging.captureWarnings(False)  # another test may have begun to, and pytest taken it back since
    configure_logging(log_format=log_format)  # type: ignore[arg-type]
    speak()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert SECRET not in shown.err
    assert "sig=abc" not in shown.err
    assert "\x1b" not in shown.err
    assert all(word in shown.err for word in ("sent", "odd", "foreign", "Traceback", "warned"))


def test_json_is_one_object_a_line_with_context(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format="json")
    with structlog.contextvars.bound_contextvars(run_id="r1", row_id="7"):
        logging.getLogger("runner.engine").info(
            "sent", extra={"images": 2, "ratio": 0.5, "done": True, "note": None}
        )
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "sent",
        "level": "info",
        "logger": "runner.engine",
        "run_id": "r1",
        "row_id": "7",
        "images": 2,
        "ratio": 0.5,
        "done": True,
        "note": None,
    }


def test_one_event_is_one_line_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    logging.getLogger("runner.engine").info("first\nsecond", extra={"prompt": "x\ny"})
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_line_is_redacted_where_nothing_can_be_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logging()
    monkeypatch.setitem(sys.modules, "runner.telemetry.log_format", None)
    logging.getLogger("runner.engine").warning("no %s for %s\nleft", "descriptors", SECRET)
    shown = capsys.readouterr().err
    assert shown.startswith("warning: no descriptors for ")
    assert SECRET not in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("verbosity", "heard"),
    [
        (-1, {"ours error", "theirs error"}),
        (0, {"ours error", "theirs error", "ours info"}),
        (1, {"ours error", "theirs error", "ours info", "ours debug"}),
        (3, {"ours error", "theirs error", "ours info", "ours debug", "theirs info"}),
    ],
)
def test_levels(verbosity: int, heard: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(verbosity=2)
    configure_logging(verbosity=verbosity, log_format="json")
    ours, theirs = logging.getLogger("jobs.plan"), logging.getLogger("aiohttp")
    ours.debug("ours debug")
    ours.info("ours info")
    ours.error("ours error")
    theirs.info("theirs info")
    theirs.error("theirs error")
    assert {json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()} == heard
