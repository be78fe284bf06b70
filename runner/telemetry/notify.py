"""Who is told of a run: a metrics file, a dead-man's switch, people. None of them can fail a run, or hold it up for long.

Each is told in a thread of its own that is waited for at most ten seconds; what goes wrong there is a warning. Their URLs
are secrets: they stand in no file, and messages name them by number.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from jobs.addresses import is_url
from runner.config.credentials import dotenv_variables
from runner.config.out_folder import manifest_stem
from runner.process.redaction import REDACTOR
from runner.telemetry.observer import Observer
from runner.telemetry.prometheus import MetricsFile
from schemas.errors import ExitCode, JobError
from schemas.job import Job
from schemas.output_folder import LEDGER_NAME
from schemas.reports import Summary
from schemas.secrecy import BY_NAME

PATIENCE_S = 10.0

_LOG = logging.getLogger(__name__)
_MAX_BODY_CHARS = 2_000


def named_secret(text: str, what: str) -> str:
    """A URL, or what the variable of `env:NAME` holds (environment, then `.env`); hidden from now on wherever it shows.

    Raises JobError (exit 2) when that variable is not set.
    """
    if text.startswith(BY_NAME):
        name = text.removeprefix(BY_NAME)
        text = os.environ.get(name) or dotenv_variables(Path.cwd()).get(name) or ""
        if not text:
            raise JobError(f"{what}: the variable {REDACTOR.text(name)} is not set", fix=f"export {name}=…")
    REDACTOR.register_url(text)
    return text


def job_label(job: Job, source: str | None) -> str:
    """The job's name for metrics and messages: of the job file, else of the manifest."""
    is_file = source is not None and source.lower().endswith(".toml") and not is_url(source)
    if source is not None and is_file and not Path(source).with_name(LEDGER_NAME).is_file():
        return Path(source).stem
    return manifest_stem(job.manifest)


def bounded(call: Callable[[], object], what: str) -> threading.Thread:
    """Start a call that may hang or fail in a thread that nobody has to wait for."""

    def work() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - apprise's plugins raise what they like, and no run may fail by it
            reason = (
                getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
            )
            _LOG.warning("%s: %s", what, REDACTOR.text(str(reason)))

    thread = threading.Thread(target=work, name="telling", daemon=True)
    thread.start()
    return thread


def _wait(thread: threading.Thread, what: str, patience_s: float) -> None:
    thread.join(patience_s)
    if thread.is_alive():
        _LOG.warning("%s: no answer within %g s", what, patience_s)


class Ping(NamedTuple):
    """A dead-man's switch, as healthchecks.io has it."""

    url: str

    def tell(self, suffix: str, text: str = "") -> threading.Thread:
        """Ask for the URL, with `/suffix` behind its path, in the background."""
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{suffix}" if suffix else parts.path
        url = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

        def ask() -> None:
            request = urllib.request.Request(
                url, REDACTOR.text(text, lines=True).encode(), {"User-Agent": "imagemill"}
            )
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                answer.read(1)

        return bounded(ask, "run.ping_url")


class Notices:
    """Messages to people through apprise. on: `always`, `failure` (any exit code but 0) or `never`."""

    def __init__(self, urls: Sequence[str], on: str) -> None:
        """Raises JobError (exit 2) when apprise is not installed, or does not know one of the URLs."""
        self._on = on
        try:
            import apprise
        except ImportError:
            raise JobError("--notify needs a package", fix="pip install 'imagemill[notify]'") from None
        for name in ("apprise", "urllib3"):  # they would show URLs
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._targets = []
        for number, url in enumerate(urls, 1):
            target = apprise.Apprise()
            if not target.add(url):
                raise JobError(
                    f"notify URL {number} of {len(urls)} is none that apprise knows (it is not shown)",
                    fix="see https://appriseit.com for how the URL of each service is written",
                )
            self._targets.append(target)

    def tell(self, code: int, title: str, body: str) -> list[tuple[str, threading.Thread]]:
        """Send the message to everybody who is to have it."""
        if self._on == "never" or (self._on == "failure" and code == ExitCode.OK):
            return []
        from apprise import NotifyType

        kind = NotifyType.SUCCESS if code == ExitCode.OK else NotifyType.FAILURE
        started = []
        for number, target in enumerate(self._targets, 1):
            what = f"notify URL {number} of {len(self._targets)}"

            def send(target: Any = target) -> None:
                if not target.notify(body=body, title=title, notify_type=kind):
                    raise OSError("the message was not taken")

            started.append((what, bounded(send, what)))
        return started


@dataclass
class Teller:
    """Everybody who is told of one command's run."""

    label: str
    ping: Ping | None = None
    notices: Notices | None = None
    metrics: MetricsFile | None = None
    patience_s: float = PATIENCE_S
    _began: threading.Thread | None = None
    _recorded: bool = False

    @classmethod
    def of(cls, job: Job, source: str | None) -> Teller:
        """Raises JobError (exit 2) for a package that is missing, a variable that is not set, a URL that is none."""
        label = job_label(job, source)
        url = job.run.ping_url
        pinged = None if url is None else named_secret(url, "run.ping_url")
        if pinged is not None and not pinged.startswith(("https://", "http://")):
            raise JobError(
                "run.ping_url is no http or https URL (it is not shown)", fix="see its service's page"
            )
        urls = [named_secret(each, "notify.urls") for each in job.notify.urls]
        file = job.run.metrics_file
        return cls(
            label,
            None if pinged is None else Ping(pinged),
            Notices(urls, job.notify.on) if urls else None,
            None if file is None else MetricsFile(Path(file).expanduser().absolute(), label),
        )

    async def begin(self) -> None:
        """The run starts."""
        if self.ping is not None:
            self._began = self.ping.tell("start")

    def observing(self, observer: Observer | None) -> Observer | None:
        """What looks at the run."""
        return observer if self.metrics is None else self.metrics.observing(observer)

    async def record(self, summary: Summary | None, error: BaseException | None) -> None:
        """Write the metrics of a run that is over, while it has the job's lock: whoever waits for that writes them next.

        summary: None when it ended by `error`, before or without one.
        """
        self._recorded = True
        told = _told(summary, error)
        if self.metrics is not None and not _is_locked_out(error):  # the file is the other run's
            await asyncio.to_thread(self.metrics.end, told)

    async def end(self, summary: Summary | None, error: BaseException | None) -> None:
        """The run is over: tell everybody else. summary, error: as `record` has them, which is done first if it was not."""
        if not self._recorded:
            await self.record(summary, error)
        await asyncio.to_thread(self._end, _told(summary, error))

    def _end(self, told: Mapping[str, Any]) -> None:
        code = int(told["exit_code"])
        reason = REDACTOR.text(str(told["exit_reason"]), lines=True)
        waiting: list[tuple[str, threading.Thread]] = []
        if self.notices is not None:
            title = f"imagemill {self.label}: exit code {code}"
            waiting += self.notices.tell(code, title, REDACTOR.text(_message(told), lines=True))
        if self.ping is not None:
            if self._began is not None:
                self._began.join(self.patience_s)
            waiting.append(("run.ping_url", self.ping.tell("" if code == ExitCode.OK else str(code), reason)))
        for what, thread in waiting:
            _wait(thread, what, self.patience_s)


def _is_locked_out(error: BaseException | None) -> bool:
    """Whether it ended without the lock, or while it waited for it."""
    causes = (error, error.__cause__ if error is not None else None)
    return any(isinstance(each, JobError) and each.exit_code is ExitCode.LOCKED for each in causes)


def _told(summary: Summary | None, error: BaseException | None) -> dict[str, Any]:
    return asdict(summary) if summary is not None else ended_by(error)


def ended_by(error: BaseException | None) -> dict[str, Any]:
    """Exit code and reason of a run that ended by an exception."""
    match error:
        case JobError():
            return {"exit_code": int(error.exit_code), "exit_reason": error.message}
        case KeyboardInterrupt() | asyncio.CancelledError():
            return {"exit_code": int(ExitCode.INTERRUPTED), "exit_reason": "interrupted"}
    return {"exit_code": int(ExitCode.INTERNAL), "exit_reason": f"internal error: {type(error).__name__}"}


def _message(told: Mapping[str, Any]) -> str:
    """A few lines for people."""
    lines = [str(told["exit_reason"])]
    if "out" in told:
        counts = ", ".join(f"{name} {count:,}" for name, count in told["by_status"].items())
        lines += [f"rows {told['rows']:,}: {counts}", f"requests sent {told['requests_sent']:,}"]
        cost = told["cost_usd"]
        lines += [] if cost is None else [f"cost ${cost:,.2f}"]
        lines += [f"folder {told['out']}"] + ([f"next: {told['next']}"] if told["next"] else [])
    return "\n".join(lines)[:_MAX_BODY_CHARS]
