"""What `imagemill doctor` looks at. Each check is a function from the job to a `Check`; none writes anything."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import shutil
import uuid
from collections.abc import Iterator, Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from yarl import URL

from runner.config.credentials import find_key, resolve_endpoint
from runner.config.out_folder import out_folder
from runner.doctor.endpoint import look
from runner.doctor.findings import Check, Level
from runner.http.network import Network
from runner.ledger.schema import SQLITE_VERSION
from runner.providers.profile import key_header
from runner.text.wording import count_text
from schemas.errors import ExitCode, JobError
from schemas.job import Job

BYTES_AN_IMAGE = 2_000_000
"""A rough size of one 1024x1024 PNG."""

DISTRIBUTIONS = ("imagemill", "aiohttp", "pyarrow", "pandas")
LEAST_DESCRIPTORS = 256


def checks(job: Job, *, environ: Mapping[str, str], cwd: Path) -> Iterator[Check]:
    """Every check in turn; the next one runs when it is asked for."""
    yield from versions()
    yield from service(job, environ, cwd)
    yield output_folder(job, cwd)
    if job.manifest is not None:
        yield disk(job, cwd)
    yield descriptors()


def versions() -> Iterator[Check]:
    """Python, ourselves, and the libraries that matter in a bug report."""
    yield Check("python", Level.OK, f"{platform.python_version()} on {platform.platform()}")
    for name in DISTRIBUTIONS:
        try:
            yield Check(name, Level.OK, version(name))
        except PackageNotFoundError:
            yield Check(name, Level.FAIL, f"not installed: pip install {name}", ExitCode.USAGE)
    yield Check("sqlite", Level.OK, SQLITE_VERSION)


def service(job: Job, environ: Mapping[str, str], cwd: Path) -> Iterator[Check]:
    """The key, and whether the endpoint takes it. Without a key a base URL of the user's own is still looked at."""
    if job.simulate:
        yield Check("key", Level.OK, "none needed: the embedded simulator is used")
        return
    key = None
    try:
        key = find_key(job.endpoint, environ=environ, cwd=cwd)
        yield Check("key", Level.OK, f"found: {key.source}")
    except JobError as error:
        yield Check("key", Level.FAIL, f"{error.message}; {error.fix}", error.exit_code)
        if job.endpoint.base_url is None:
            return
    try:
        endpoint = resolve_endpoint(job, environ, cwd=cwd)
    except JobError as error:
        yield Check("endpoint", Level.FAIL, f"{error.message}; {error.fix}", error.exit_code)
        return
    try:
        network = Network.from_settings(job.endpoint, environ, cwd=cwd)
    except JobError as error:
        yield Check("network", Level.FAIL, f"{error.message}; {error.fix}", error.exit_code)
        return
    proxy = network.proxy_for(URL(endpoint.base_url))
    if proxy is not None:
        yield Check("proxy", Level.OK, f"{proxy} of {proxy.variable} is between here and the endpoint")
    header = {} if key is None else key_header(job.endpoint, endpoint.profile, key.value)
    yield asyncio.run(look(endpoint.base_url, header, network, None if key is None else key.source))


def _out(job: Job, cwd: Path) -> Path:
    return cwd / out_folder(job, today=date.today(), run_id=uuid.uuid4().hex[:12])


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def output_folder(job: Job, cwd: Path) -> Check:
    """Whether the output folder can be written, or made."""
    out = _out(job, cwd)
    there = _existing(out)
    if not there.is_dir():
        return Check("output", Level.FAIL, f"{there} is not a folder", ExitCode.USAGE)
    read_only = bool(os.statvfs(there).f_flag & os.ST_RDONLY)
    if read_only or not os.access(there, os.W_OK | os.X_OK):
        return Check("output", Level.FAIL, f"{there} cannot be written", ExitCode.USAGE)
    return Check("output", Level.OK, f"{out} can be {'written' if there == out else 'made'}")


def disk(job: Job, cwd: Path) -> Check:
    """Free space against the images still to make, at `BYTES_AN_IMAGE` each."""
    from runner.app import use_cases

    try:
        images = use_cases.plan_job(job).images
    except JobError as error:
        return Check("manifest", Level.FAIL, f"{error.message}; {error.fix}", error.exit_code)
    free = shutil.disk_usage(_existing(_out(job, cwd))).free
    need = images * BYTES_AN_IMAGE
    wanted = count_text(images, "image")
    detail = f"{free / 1e9:,.1f} GB free, about {need / 1e9:,.1f} GB needed for {wanted}"
    if need > free:
        return Check("disk", Level.FAIL, detail, ExitCode.LOCAL)
    return Check("disk", Level.OK if need * 2 <= free else Level.WARN, detail)


def descriptors() -> Check:
    """How many files and connections this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = soft != resource.RLIM_INFINITY and soft < LEAST_DESCRIPTORS
    detail = f"{soft:,} open files allowed" + (f" (ulimit -n {min(hard, 4096):,} for more)" if low else "")
    return Check("descriptors", Level.WARN if low else Level.OK, detail)
