"""Everybody who hears of a run is told in a thread of its own: in order, once, and without holding anything up."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext

import pytest

from runner.app.listeners import Listeners, ended_by
from runner.http.network import Network
from runner.process.redaction import REDACTOR
from runner.telemetry.notify import NotDelivered, Ping
from schemas.errors import ExitCode, JobError
from schemas.reports import RunEnd
from schemas.summary import Summary
from tests.support.audience import END, GOOD, PLAN, look
from tests.support.fakes import FakeListener
from tests.support.servedjob import HANG_S

SHORT_S = 0.02
"""How long a listener is waited for that will not answer."""


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "listener"]


def through(
    listeners: Listeners, run: Callable[[Listeners], Awaitable[Summary]], lock: Callable[[], object] = bool
) -> Summary:
    """A run under a lock, which `lock` hears being given back."""

    async def main() -> Summary:
        async with listeners as heard, AsyncExitStack() as stack:
            stack.callback(lock)
            return await heard.follow(PLAN, run(heard))

    return asyncio.run(main())


async def reached(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110 - listeners have threads of their own
        await asyncio.sleep(0.001)


async def at_once(heard: Listeners) -> Summary:
    heard.progress(look(3))
    return GOOD


def test_all_hear_the_same_and_the_end_has_the_summary() -> None:
    all_of_them = [FakeListener([]) for _ in range(3)]
    assert through(Listeners(all_of_them), at_once) == GOOD
    for listener in all_of_them:
        assert listener.journal == ["listener.started", "listener.progress", "listener.finished"]
        assert (listener.looks, listener.ends) == ([look(3)], [END])
    assert own_threads() == []


def test_what_one_raises_is_logged_once_and_the_others_hear_on(caplog: pytest.LogCaptureFixture) -> None:
    broken = FakeListener([], raises=ConnectionRefusedError(111, "Connection refused"), label="run.ping_url")
    other = FakeListener([])
    assert through(Listeners([broken, other]), at_once) == GOOD
    assert [record.getMessage() for record in caplog.records] == ["run.ping_url: Connection refused"]
    assert broken.journal == other.journal == ["listener.started", "listener.progress", "listener.finished"]


def test_a_slow_one_holds_nothing_up_and_hears_the_newest_look_next() -> None:
    stuck = threading.Event()
    slow, other = FakeListener([], stuck=stuck), FakeListener([])

    async def run(heard: Listeners) -> Summary:
        heard.progress(look(0))
        await reached(lambda: slow.looks and other.looks)
        for done in (1, 2, 3):
            heard.progress(look(done))
        await reached(lambda: other.looks[-1] == look(3))
        assert slow.looks == [look(0)]
        stuck.set()
        return GOOD

    assert through(Listeners([slow, other]), run) == GOOD
    assert slow.looks == [look(0), look(3)]
    assert slow.ends == [END]


def test_a_note_is_never_dropped() -> None:
    """As when a folder of an earlier night was finished at once, and tonight's has other notes."""
    stuck = threading.Event()
    slow = FakeListener([], stuck=stuck)

    async def run(heard: Listeners) -> Summary:
        heard.progress(look(0))
        await reached(lambda: slow.looks)
        heard.progress(look(1, "of an earlier night"))
        heard.progress(look(2, "of an earlier night", "and one more"))
        heard.progress(look(3))
        stuck.set()
        return GOOD

    through(Listeners([slow]), run)
    assert slow.looks == [look(0), look(2, "of an earlier night", "and one more"), look(3)]


@pytest.mark.parametrize("error", [None, JobError("the key is refused", exit_code=ExitCode.ACCOUNT)])
def test_the_lock_is_kept_until_those_have_heard_the_end_who_write_where_the_next_run_does(
    error: JobError | None, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = threading.Event()
    outside, inside = FakeListener([], stuck=stuck, under_lock=False), FakeListener([])

    async def run(heard: Listeners) -> Summary:
        heard.progress(look(3))
        await reached(lambda: outside.looks)
        if error is not None:
            raise error
        return GOOD

    def given_back() -> None:
        inside.journal.append("lock")
        outside.journal.append("lock")
        stuck.set()

    with pytest.raises(JobError) if error is not None else nullcontext():
        through(Listeners([outside, inside]), run, given_back)
    assert inside.journal == ["listener.started", "listener.progress", "listener.finished", "lock"]
    assert outside.journal == ["listener.started", "lock", "listener.progress", "listener.finished"]
    assert caplog.records == []  # nobody was waited for in vain


def test_what_is_logged_of_an_error_holds_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    REDACTOR.register_url("https://office.example/7c1e52aa90")
    told = NotDelivered("nobody takes https://office.example/7c1e52aa90")
    assert through(Listeners([FakeListener([], raises=told)]), at_once) == GOOD
    (record,) = caplog.records
    assert record.getMessage().startswith("a fake: nobody takes ")
    assert "7c1e52aa90" not in record.getMessage()


@pytest.mark.parametrize("under_lock", [True, False])
def test_one_that_never_answers_is_given_up(under_lock: bool, caplog: pytest.LogCaptureFixture) -> None:
    stuck = FakeListener([], stuck=threading.Event(), under_lock=under_lock)
    assert stuck.stuck is not None
    assert through(Listeners([stuck], SHORT_S), at_once) == GOOD
    assert [record.getMessage() for record in caplog.records] == ["a fake: no answer within 0.02 s"]
    (thread,) = own_threads()
    assert thread.daemon
    stuck.stuck.set()
    thread.join(HANG_S)
    assert stuck.ends == [END]


def test_a_switch_that_never_answers_does_not_hold_the_run_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ping = Ping(f"http://127.0.0.1:{silent.getsockname()[1]}/x", Network())
        assert through(Listeners([ping], SHORT_S), at_once) == GOOD
        (thread,) = own_threads()
        assert thread.daemon
    thread.join(HANG_S)
    assert not thread.is_alive()


def test_an_error_before_the_start_is_an_end_without_one() -> None:
    listener = FakeListener([])

    async def main() -> None:
        async with Listeners([listener]):
            raise JobError("another run has it", exit_code=ExitCode.LOCKED)

    with pytest.raises(JobError):
        asyncio.run(main())
    assert listener.journal == ["listener.finished"]
    assert listener.ends == [RunEnd(6, "another run has it", locked_out=True)]


def test_an_error_after_the_end_does_not_end_the_run_again() -> None:
    listener = FakeListener([])

    def fails() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        through(Listeners([listener]), at_once, fails)
    assert listener.ends == [END]


def test_how_a_run_ended_that_raised() -> None:
    signalled = JobError("terminated", exit_code=ExitCode.TERMINATED)
    signalled.__cause__ = JobError("another run has it", exit_code=ExitCode.LOCKED)
    assert ended_by(signalled) == RunEnd(143, "terminated", locked_out=True)
    assert ended_by(JobError("no manifest")) == RunEnd(2, "no manifest")
    assert ended_by(KeyError("a secret")) == RunEnd(1, "internal error: KeyError")
    assert ended_by(KeyboardInterrupt()) == ended_by(asyncio.CancelledError()) == RunEnd(130, "interrupted")
