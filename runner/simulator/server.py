"""Running the simulator: its options, its socket, its end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from runner.process.file_limits import raise_file_limit
from runner.simulator.config import SimulatorConfig
from runner.simulator.console import farewell, greeting
from runner.simulator.dialects import DIALECTS
from runner.simulator.faults.kinds import kinds_table
from runner.simulator.options import configure
from runner.simulator.service import Service
from schemas.errors import ExitCode, JobError
from schemas.providers import DEFAULT_PROFILE, PROFILES

HOST = "127.0.0.1"
BACKLOG = 4096
KEEPALIVE_S = 3600.0
SHUTDOWN_S = 0.05
"""What open requests get at the end; 0 would be for ever."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run with command line arguments (None: the process's own); returns the exit code."""
    options = _parser().parse_args(argv)
    if options.list_faults:
        sys.stdout.write(kinds_table() + "\n")
        return ExitCode.OK
    try:
        config = configure(
            scenario=options.scenario,
            seed=options.seed,
            profile=options.profile,
            dialect=options.dialect,
            latency=options.latency,
            rpm=options.rpm,
            ipm=options.ipm,
            realistic=options.realistic,
        )
        return serve(config, options.port, parent_stdin=options.parent_stdin)
    except JobError as error:
        sys.stderr.write(f"simulate: {error.message}\n" + (f"  {error.fix}\n" if error.fix else ""))
        return error.exit_code


def serve(config: SimulatorConfig, port: int = 0, *, parent_stdin: bool = False, quiet: bool = True) -> int:
    """Serve on 127.0.0.1 until SIGINT, SIGTERM or, with `parent_stdin`, the end of stdin; returns 0.

    port: 0 takes a free one. The first line on stdout is `base_url=` and what `images/generations` is appended to
    (a query goes after that): `http://127.0.0.1:N/v1`, or another path where the dialect has one. It comes once the
    server listens. quiet: nothing is said on stderr; else how to ask it, and at the end what it was asked.
    Raises JobError where the port is in use.
    """
    raise_file_limit()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(config, port, parent_stdin, quiet))
    return ExitCode.OK


async def _serve(config: SimulatorConfig, port: int, parent_stdin: bool, quiet: bool) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    service = Service(config)
    runner = web.AppRunner(
        service.application(),
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=SHUTDOWN_S,
    )
    await runner.setup()
    try:
        await _listen(runner, port)
        dialect = DIALECTS[config.dialect]
        root = f"http://{HOST}:{runner.addresses[0][1]}"
        base_url = f"{root}{dialect.base}{dialect.base_query}"
        sys.stdout.write(f"base_url={base_url}\n")
        sys.stdout.flush()
        if not quiet:
            sys.stderr.write(greeting(base_url, config) + "\n")
            sys.stderr.flush()
        if parent_stdin:
            threading.Thread(target=_until_eof, args=(loop, stop), daemon=True).start()
        await stop.wait()
        if not quiet:
            sys.stderr.write(farewell(service.stats) + "\n")
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, HOST, port, backlog=BACKLOG).start()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise JobError(
            f"cannot listen on {HOST}:{port}: {reason}", fix="leave out --port for a free one"
        ) from None


def _until_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Read stdin away until its end: the kernel closes a pipe when the parent dies, however it dies."""
    while os.read(0, 65_536):
        continue
    loop.call_soon_threadsafe(stop.set)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m runner.simulator", description="The image service, simulated."
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="default: a free one")
    add("--latency", type=_seconds, metavar="S", help="median seconds of an answer, 0 for none (default 0.2)")
    add("--rpm", type=_positive, help="requests a minute (default: no limit)")
    add("--ipm", type=_positive, help="images a minute (default: no limit)")
    add("--seed", type=int, help="of images, latencies and shares (default 0)")
    add("--profile", choices=tuple(PROFILES), help=f"whose behaviour (default {DEFAULT_PROFILE})")
    add("--dialect", metavar="NAME", help=f"whose protocol (default official): {', '.join(DIALECTS)}")
    add("--scenario", type=Path, metavar="FILE", help="limits, latency and faults (TOML)")
    add("--realistic", action="store_true", help="20 to 60 s an answer, files as large as real ones")
    add("--list-faults", action="store_true", help="print the kinds of faults and exit")
    add("--parent-stdin", action="store_true", help="exit at the end of stdin")
    return parser
