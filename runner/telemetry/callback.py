"""A Python function that is shown the progress of a run."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context

from runner.process.event_loop import Post
from schemas.reports import Progress, RunEnd, RunPlan


class Callback:
    """`on_progress`: called in the thread of the run's caller, because what it touches may belong there.

    end: called there too, when the run has ended. in_loop: that thread has an event loop, which goes on: what can be awaited
    is awaited there; elsewhere in a loop of its own.
    error: the first that was raised. Nothing is called again then; the run goes on, and its caller gets to know at the end.
    """

    label = "on_progress"
    under_lock = True

    def __init__(
        self,
        call: Callable[[Progress], object],
        post: Post,
        end: Callable[[RunEnd], object] | None = None,
        *,
        in_loop: bool = False,
    ) -> None:
        self.error: BaseException | None = None
        self._call = call
        self._post = post
        self._end = end
        self._in_loop = in_loop
        self._tasks: set[asyncio.Task[None]] = set()

    def started(self, plan: RunPlan) -> None:
        """The function hears of looks only."""

    def progress(self, progress: Progress) -> None:
        """Call the function, and wait for it."""
        self._posted(lambda: self._call(progress))

    def finished(self, end: RunEnd) -> None:
        """Tell of it, where that is wanted."""
        if self._end is not None:
            tell = self._end
            self._posted(lambda: tell(end))

    def _posted(self, call: Callable[[], object]) -> None:
        if self.error is None:
            shown = threading.Event()
            self._post(lambda: self._show(call, shown))
            shown.wait()

    def _show(self, call: Callable[[], object], shown: threading.Event) -> None:
        try:
            result = call()
            if inspect.isawaitable(result):
                if self._in_loop:
                    task = asyncio.get_running_loop().create_task(self._awaited(result, shown))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                    return
                _run_beside(self._awaited(result, shown))
        except KeyboardInterrupt:  # it was meant for the run
            shown.set()
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is comes out of the call that the run was
            self.error = error
        shown.set()

    async def _awaited(self, result: Awaitable[object], shown: threading.Event) -> None:
        try:
            await result
        except Exception as error:  # noqa: BLE001 - as above
            self.error = error
        finally:
            shown.set()


def _run_beside(work: Awaitable[None]) -> None:
    """Wait for it in a loop of its own; in a thread of its own where one runs here already, and stands still."""

    async def main() -> None:
        await work

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(main())
        return
    thread = threading.Thread(target=copy_context().run, args=(lambda: asyncio.run(main()),), daemon=True)
    thread.start()
    thread.join()
