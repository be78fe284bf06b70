"""Checks of one run that may take long: one at a time, each in a process that ends with the run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from runner.artifacts.atomic_files import Buffer
from runner.artifacts.check_process import CUT_SHORT, CheckProcess
from runner.artifacts.image_checks import ImageInfo
from runner.engine.ports import CancelSignal
from runner.process.event_loop import DaemonPool
from schemas.artifacts import Check, NotAnImage, RequestedFormat


class SlowChecks:
    """To be closed.

    One at a time, because a picture of 64 million pixels takes up to a gigabyte. cancel: ends all waiting.
    """

    def __init__(self, check: Check, cancel: CancelSignal) -> None:
        self._check = check
        self._cancel = cancel
        self._thread = DaemonPool(1, "check")

    async def close(self) -> None:
        """Wait for the thread."""
        await asyncio.to_thread(self._thread.shutdown)

    async def inspect(self, pieces: Sequence[Buffer], requested: RequestedFormat) -> ImageInfo:
        """As `image_checks.inspect_image`. Raises NotAnImage also where time runs out, or the run is cut short; OSError."""
        process = CheckProcess()

        def check() -> ImageInfo:
            return process.inspect(b"".join(pieces), asked_format=requested.output_format, check=self._check)

        try:
            async with self._cancel.cancellable():
                return await asyncio.get_running_loop().run_in_executor(self._thread, check)
        except TimeoutError:
            raise NotAnImage(CUT_SHORT) from None
        finally:
            process.end()
