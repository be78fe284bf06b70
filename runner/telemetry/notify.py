"""Who else hears of a job's runs: a dead-man's switch, people, a metrics file.

Their URLs are secrets: they stand in no file, and messages name them by number.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from jobs.addresses import is_url
from runner.config.credentials import dotenv_variables
from runner.config.out_folder import manifest_stem
from runner.engine.ports import RunListener
from runner.http.network import Network
from runner.process.redaction import REDACTOR
from runner.telemetry.prometheus import MetricsFile
from runner.text.wording import count_text, money_text
from schemas.errors import ExitCode, JobError
from schemas.job import Job
from schemas.output_folder import LEDGER_NAME
from schemas.reports import Progress, RunEnd, RunPlan
from schemas.secrecy import BY_NAME

if TYPE_CHECKING:
    from apprise import Apprise

PATIENCE_S = 10.0

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


class NotDelivered(Exception):
    """A ping or a message was not taken. reason: ready to show."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Ping:
    """A dead-man's switch, as healthchecks.io has it."""

    label = "run.ping_url"
    under_lock = False

    def __init__(self, url: str, network: Network) -> None:
        """network: the way to it."""
        self._url = url
        self._network = network

    def started(self, plan: RunPlan) -> None:
        """Ask for URL/start. Raises NotDelivered."""
        self._send("start", "")

    def progress(self, progress: Progress) -> None:
        """The switch hears of start and end only."""

    def finished(self, end: RunEnd) -> None:
        """Ask for the URL, or for URL/EXIT_CODE, with the reason. Raises NotDelivered."""
        self._send("" if end.exit_code == ExitCode.OK else str(end.exit_code), end.exit_reason)

    def _send(self, suffix: str, text: str) -> None:
        parts = urlsplit(self._url)
        path = f"{parts.path.rstrip('/')}/{suffix}" if suffix else parts.path
        url = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
        asyncio.run(self._ask(url, REDACTOR.text(text, lines=True).encode()))

    async def _ask(self, url: str, body: bytes) -> None:
        """Raises NotDelivered."""
        import aiohttp
        from yarl import URL

        from runner.http.exchange_errors import unreached

        target = URL(url)
        headers = {"User-Agent": "imagemill", "Content-Type": "text/plain; charset=utf-8"}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as session,
                session.post(target, data=body, **self._network.options(target, headers)) as answer,
            ):
                status, reason = answer.status, answer.reason
        except TimeoutError:
            raise NotDelivered(f"no answer within {PATIENCE_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NotDelivered(unreached(error, target, self._network.proxy_for(target))) from None
        if status >= 400:
            raise NotDelivered(reason or f"HTTP {status}")


class Notification:
    """Messages to one address through apprise. on: `always`, `failure` (any exit code but 0) or `never`."""

    under_lock = False

    def __init__(self, label: str, target: Apprise, job: str, on: str) -> None:
        self.label = label
        self._target = target
        self._job = job
        self._on = on

    def started(self, plan: RunPlan) -> None:
        """People hear of the end only."""

    def progress(self, progress: Progress) -> None:
        """People hear of the end only."""

    def finished(self, end: RunEnd) -> None:
        """Send the message, if there is to be one. Raises NotDelivered."""
        is_good = end.exit_code == ExitCode.OK
        if self._on == "never" or (self._on == "failure" and is_good):
            return
        from apprise import NotifyType

        taken = self._target.notify(
            title=f"imagemill {self._job}: exit code {end.exit_code}",
            body=REDACTOR.text(_message(end), lines=True),
            notify_type=NotifyType.SUCCESS if is_good else NotifyType.FAILURE,
        )
        if not taken:
            raise NotDelivered("the message was not taken")


def _notifications(urls: Sequence[str], job: str, on: str) -> list[Notification]:
    """Raises JobError (exit 2) when apprise is not installed, or does not know one of the URLs."""
    try:
        import apprise
    except ImportError:
        raise JobError("--notify needs a package", fix="pip install 'imagemill[notify]'") from None
    for name in ("apprise", "urllib3"):  # they would show URLs
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    made = []
    for number, url in enumerate(urls, 1):
        label, target = f"notify URL {number} of {len(urls)}", apprise.Apprise()
        if not target.add(url):
            raise JobError(
                f"{label} is none that apprise knows (it is not shown)",
                fix="see https://appriseit.com for how the URL of each service is written",
            )
        made.append(Notification(label, target, job, on))
    return made


def _message(end: RunEnd) -> str:
    """A few lines for people."""
    lines, summary = [end.exit_reason], end.summary
    if summary is not None:
        simulated = " (simulated)" if summary.simulated else ""
        cost = "" if summary.cost_usd is None else f", {money_text(summary.cost_usd)}{simulated}"
        rows, requests = count_text(summary.rows_sent, "row"), count_text(summary.requests_sent, "request")
        lines.append(
            f"this run: {rows} sent in {requests}, {count_text(summary.images_saved, 'image')} saved{cost}"
        )
        counts = ", ".join(f"{count:,} {name}" for name, count in summary.by_status.items())
        lines.append(
            f"all {count_text(summary.rows, 'row')} ({count_text(summary.images, 'image')}): {counts}"
        )
        folder, total = summary.folder, summary.folder.cost_usd
        life = "" if total is None else f", {money_text(total)}{simulated}"
        lines.append(
            f"folder {summary.out}: {count_text(folder.runs, 'run')}, {count_text(folder.requests_sent, 'request')}{life}"
        )
        lines += [f"next: {summary.next}"] if summary.next else []
    return "\n".join(lines)[:_MAX_BODY_CHARS]


def listeners_of(job: Job, label: str) -> list[RunListener]:
    """Everybody whom the job itself names. label: the job's name.

    Raises JobError (exit 2) for a package that is missing, a variable that is not set, a URL that is none.
    """
    found: list[RunListener] = []
    if job.run.ping_url is not None:
        url = named_secret(job.run.ping_url, "run.ping_url")
        if not url.startswith(("https://", "http://")):
            raise JobError(
                "run.ping_url is no http or https URL (it is not shown)", fix="see its service's page"
            )
        found.append(Ping(url, Network.from_settings(job.endpoint, os.environ, cwd=Path.cwd())))
    urls = [named_secret(each, "notify.urls") for each in job.notify.urls]
    if urls:
        found += _notifications(urls, label, job.notify.on)
    if job.run.metrics_file is not None:
        found.append(MetricsFile(Path(job.run.metrics_file).expanduser().absolute(), label))
    return found
