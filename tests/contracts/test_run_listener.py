"""What every `RunListener` does, and what `Listeners` does for each of them."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from itertools import count
from pathlib import Path

import pytest

from runner.app.listeners import Listeners
from runner.engine.ports import RunListener
from runner.http.network import Network
from runner.telemetry.callback import Callback
from runner.telemetry.notify import Ping, listeners_of
from runner.telemetry.progress import Mode, progress_listeners
from runner.telemetry.prometheus import MetricsFile
from schemas.errors import ExitCode, JobError
from schemas.job import Job
from schemas.reports import Progress
from schemas.summary import Summary
from tests.support.audience import END, GOOD, PLAN, Post, closed_port, figures, look, post
from tests.support.fakes import FakeListener

NOTE = "2 rows are kept"


class Terminal(StringIO):
    """A terminal, which may be gone."""

    def __init__(self, *, gone: bool) -> None:
        super().__init__()
        self.gone = gone

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.gone:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


@dataclass
class Stage:
    """A listener and what its audience has seen so far: `start`, `look N`, `end CODE`. shows: which of these it can see.

    warnings: what a run logs that nobody can hear.
    """

    listener: RunListener
    shows: set[str]
    seen: Callable[[], list[str]]
    warnings: int = 1

    def looks(self) -> list[int]:
        return [int(each.split()[1]) for each in self.seen() if each.startswith("look")]

    def ends(self) -> list[str]:
        return [each for each in self.seen() if each.startswith("end")]


class Setting:
    """Makes the stage of one implementation. broken: nobody can hear it. Used inside a running event loop."""

    def __init__(self, folder: Path, office: Post, *, broken: bool) -> None:
        self.folder = folder
        self.broken = broken
        self.office = office
        self.port = closed_port() if broken else office.port

    def shown(self, mode: Mode) -> Stage:
        stream = Terminal(gone=self.broken)
        (listener,) = progress_listeners(mode, stream, clock=count(0, 31).__next__)

        def seen() -> list[str]:
            return [f"look {done}" for done in re.findall(r"(\d)/3 images", stream.getvalue())]

        return Stage(listener, set() if mode == "none" else {"look"}, seen, int(mode != "rich"))

    def lines(self) -> Stage:
        return self.shown("plain")

    def bar(self) -> Stage:
        return self.shown("rich")

    def notes(self) -> Stage:
        return self.shown("none")

    def metrics(self) -> Stage:
        pytest.importorskip("prometheus_client")
        path = self.folder / ("no/such/folder/m.prom" if self.broken else "m.prom")

        def seen() -> list[str]:
            told = figures(path) if path.exists() else {"imagemill_running": 1.0}
            return [] if told["imagemill_running"] else [f"end {told['imagemill_last_run_exit_code']:.0f}"]

        return Stage(MetricsFile(path, "job"), {"end"}, seen)

    def ping(self) -> Stage:
        listener = Ping(f"http://127.0.0.1:{self.port}/switch", Network())
        said = {"/switch/start": "start", "/switch": "end 0"}

        def seen() -> list[str]:
            return [said.get(path, path.replace("/switch/", "end ")) for path, _ in self.office.taken]

        return Stage(listener, {"start", "end"}, seen)

    def message(self) -> Stage:
        pytest.importorskip("apprise")
        table = {"urls": [f"json://127.0.0.1:{self.port}/office"], "on": "always"}
        (listener,) = listeners_of(Job.model_validate({"notify": table}), "job")

        def seen() -> list[str]:
            titles = (json.loads(body)["title"] for _, body in self.office.taken)
            return [title.replace("imagemill job: exit code", "end") for title in titles]

        return Stage(listener, {"end"}, seen)

    def callback(self) -> Stage:
        looks: list[Progress] = []

        def on_progress(progress: Progress) -> None:
            if self.broken:
                raise LookupError("a bug of the caller's")
            looks.append(progress)

        listener = Callback(on_progress, asyncio.get_running_loop().call_soon_threadsafe)
        return Stage(listener, {"look"}, lambda: [f"look {each.done_images}" for each in looks], 0)

    def fake(self) -> Stage:
        listener = FakeListener([], raises=LookupError() if self.broken else None)

        def seen() -> list[str]:
            looks, ends = iter(listener.looks), iter(listener.ends)
            said: list[str] = []
            for call in listener.journal:
                if call == "listener.started":
                    said.append("start")
                elif call == "listener.progress":
                    said.append(f"look {next(looks).done_images}")
                else:
                    said.append(f"end {next(ends).exit_code}")
            return said

        return Stage(listener, {"start", "look", "end"}, seen)


KINDS = ("lines", "bar", "notes", "metrics", "ping", "message", "callback", "fake")
Play = Callable[[Stage], Awaitable[None]]


@pytest.fixture(params=KINDS)
def on_stage(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Stage]:
    """Plays a run before the audience of one implementation; what that was."""

    def play(use: Play, *, broken: bool = False) -> Stage:
        async def main() -> Stage:
            stage: Stage = getattr(Setting(tmp_path, office, broken=broken), request.param)()
            await use(stage)
            return stage

        with post() as office:
            return asyncio.run(main())

    return play


async def good_run(heard: Listeners) -> Summary:
    for done in (1, 2, 3):
        heard.progress(look(done, NOTE))
        await asyncio.sleep(0)
    return GOOD


async def told(stage: Stage, run: Callable[[Listeners], Awaitable[Summary]] = good_run) -> Summary:
    """A run that this listener hears of."""
    async with Listeners([stage.listener]) as heard:
        return await heard.follow(PLAN, run(heard))


def test_a_run_is_seen_in_order_and_its_end_once(on_stage: Callable[..., Stage]) -> None:
    async def use(stage: Stage) -> None:
        await told(stage)
        assert ("start" in stage.seen()) == ("start" in stage.shows)
        assert stage.seen()[:1] == ["start"] or "start" not in stage.shows
        assert (stage.looks()[-1:] == [3]) == ("look" in stage.shows)
        assert stage.looks() == sorted(stage.looks())
        assert stage.ends() == (["end 0"] if "end" in stage.shows else [])
        assert stage.seen()[-1:] == ["end 0"] or "end" not in stage.shows

    on_stage(use)


def test_each_look_is_seen_when_there_is_time(on_stage: Callable[..., Stage]) -> None:
    async def use(stage: Stage) -> None:
        listener = stage.listener
        await asyncio.to_thread(listener.started, PLAN)
        for done in (1, 2, 3):
            await asyncio.to_thread(listener.progress, look(done))
        await asyncio.to_thread(listener.finished, END)
        assert "look" not in stage.shows or sorted({*stage.looks()}) == [1, 2, 3]
        assert len(stage.ends()) == ("end" in stage.shows)

    on_stage(use)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobError("the key is refused", exit_code=ExitCode.ACCOUNT), 4),
        (ZeroDivisionError("a bug of ours"), 1),
        (KeyboardInterrupt(), 130),
        (asyncio.CancelledError(), 130),
    ],
)
def test_a_run_that_fails_or_is_cut_ends_once_too(
    on_stage: Callable[..., Stage], error: BaseException, code: int
) -> None:
    async def run(heard: Listeners) -> Summary:
        heard.progress(look(1))
        raise error

    async def use(stage: Stage) -> None:
        with suppress(type(error)):
            await told(stage, run)
            pytest.fail("the error is lost")
        assert stage.ends() == ([f"end {code}"] if "end" in stage.shows else [])
        assert set(stage.looks()) == ({1} if "look" in stage.shows else set())

    on_stage(use)


def test_a_run_that_could_not_start_has_an_end_and_no_more(on_stage: Callable[..., Stage]) -> None:
    async def use(stage: Stage) -> None:
        with pytest.raises(JobError):
            async with Listeners([stage.listener]):
                raise JobError("the lock cannot be made", exit_code=ExitCode.LOCAL)
        assert stage.seen() == (["end 9"] if "end" in stage.shows else [])

    on_stage(use)


def test_one_that_nobody_can_hear_is_a_warning_and_the_run_goes_on(
    on_stage: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    async def use(stage: Stage) -> None:
        assert await told(stage) == GOOD
        told_of = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert [text.startswith(f"{stage.listener.label}: ") for text in told_of] == [True] * stage.warnings

    on_stage(use, broken=True)
