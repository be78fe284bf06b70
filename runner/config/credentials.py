"""The key and the endpoint that it goes to."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from runner.config.base_urls import BaseUrlFault, checked_base_url
from runner.config.job_secrets import refuse_unkept
from runner.process.redaction import REDACTOR, Redactor
from schemas.errors import JobError
from schemas.providers import CUSTOM_KEY_ENV, PROFILES, Profile

if TYPE_CHECKING:
    from schemas.job import EndpointTable, Job

__all__ = [
    "REDACTOR",
    "ApiKey",
    "Redactor",
    "ResolvedEndpoint",
    "dotenv_variables",
    "find_key",
    "resolve_endpoint",
]

COMMAND_TIMEOUT_S = 30.0
_COMMAND = "endpoint.api_key_command"

_LOG = logging.getLogger(__name__)
_KEY = re.compile(r"[\x21-\x7e]+")
_QUOTES = "\"'`“”‘’"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key and where it was found (`.env (IMAGEMILL_API_KEY)`). Printing it never shows the value."""

    value: str = field(repr=False)
    source: str


def dotenv_variables(cwd: Path) -> dict[str, str]:
    """The variables of `.env` in `cwd`, as written there; empty without one. Raises JobError when it is unreadable."""
    path = cwd / ".env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f".env cannot be read: {type(error).__name__}", fix="save it as UTF-8 text") from None
    return {name: value for name, value in values.items() if value is not None}


def find_key(endpoint: EndpointTable, *, environ: Mapping[str, str], cwd: Path) -> ApiKey:
    """The key for this endpoint, registered with `REDACTOR`.

    Order: `api_key_env`, `api_key_file`, `api_key_command`; without any of them the variables of the profile, or
    for a `base_url` of the user's own `IMAGEMILL_API_KEY`, then `OPENAI_API_KEY`. Each variable is looked up in the
    environment, then in `.env`. A variable that was named is the only one looked at, so that no other host's key is
    sent by accident. Raises JobError (exit 2: nothing was sent) when there is none or it cannot be a key.
    """
    if endpoint.api_key_env is None and endpoint.api_key_file is not None:
        path = cwd / Path(endpoint.api_key_file).expanduser()
        key = _key_from_file(path, guarded=environ.get("CREDENTIALS_DIRECTORY"))
    elif endpoint.api_key_env is None and endpoint.api_key_command is not None:
        refuse_unkept(endpoint.api_key_command)
        key = _key_from_command(endpoint.api_key_command, cwd)
    else:
        key = _key_from_variables(_key_variables(endpoint), environ, dotenv_variables(cwd))
    return _checked(key)


def key_source(endpoint: EndpointTable, *, environ: Mapping[str, str], cwd: Path) -> str | None:
    """Where `find_key` would find the key; None where it would find none. Opens no key file and runs no command."""
    if endpoint.api_key_env is None and endpoint.api_key_file is not None:
        path = cwd / Path(endpoint.api_key_file).expanduser()
        return str(path) if path.is_file() else None
    if endpoint.api_key_env is None and endpoint.api_key_command is not None:
        return _COMMAND
    try:
        return _key_from_variables(_key_variables(endpoint), environ, dotenv_variables(cwd)).source
    except JobError:
        return None


def _checked(key: ApiKey) -> ApiKey:
    REDACTOR.register(key.value)
    if key.value[0] in _QUOTES or key.value[-1] in _QUOTES:
        REDACTOR.register(key.value.strip(_QUOTES))
        raise JobError(
            f"the key from {key.source} is in quotes (not shown), which would be sent with it",
            fix="set it again without them: files for docker's --env-file, and systemd's credentials, take no quotes",
        )
    if _KEY.fullmatch(key.value) is None:
        raise JobError(
            f"the key from {key.source} holds blanks, line breaks or characters outside ASCII (not shown)",
            fix="set it again, without quotes, blanks or line breaks",
        )
    return key


def key_may_change(endpoint: EndpointTable) -> bool:
    """Whether reading the key again may give another one: it comes from a file or a command."""
    return endpoint.api_key_env is None and (
        endpoint.api_key_file is not None or endpoint.api_key_command is not None
    )


def _key_variables(endpoint: EndpointTable) -> tuple[str, ...]:
    if endpoint.api_key_env is not None:
        return (endpoint.api_key_env,)
    profile = PROFILES[endpoint.profile]
    if endpoint.base_url is None and "profile" not in endpoint.model_fields_set:
        # Nobody has chosen this service: a key for whichever one would be shown to it when --base-url is forgotten once.
        return tuple(name for name in profile.key_env if name not in CUSTOM_KEY_ENV)
    # A profile without an address of its own is always chosen together with a base URL.
    return CUSTOM_KEY_ENV if endpoint.base_url is not None and profile.base_url else profile.key_env


def _shown_variable(name: str) -> str:
    """A variable's name, unless it may be a key that was put where the name belongs."""
    return name if _VARIABLE.fullmatch(name) else "the variable named by endpoint.api_key_env"


def _key_from_variables(
    names: tuple[str, ...], environ: Mapping[str, str], dotenv: Mapping[str, str]
) -> ApiKey:
    for name in names:
        for values, where in ((environ, "the environment"), (dotenv, ".env")):
            if values.get(name):
                return ApiKey(values[name], f"{where} ({_shown_variable(name)})")
    shown = [_shown_variable(name) for name in names]
    general = next((name for name in CUSTOM_KEY_ENV[:1] if environ.get(name) or dotenv.get(name)), None)
    other = (
        "" if general in (None, *names) else f" ({general} is for a service that you name: --base-url URL)"
    )
    name = names[0] if _VARIABLE.fullmatch(names[0]) else "NAME"
    raise JobError(
        f"no API key: {' and '.join(shown)} {'is' if len(shown) == 1 else 'are'} not set (environment and .env)",
        fix=f"export {name}=…, or add --simulate to try without a key{other}",
    )


def _key_from_file(path: Path, *, guarded: str | None) -> ApiKey:
    """guarded: a folder that systemd keeps from other users, whatever the modes of the files in it."""
    try:
        mode = path.stat().st_mode
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(
            f"endpoint.api_key_file {REDACTOR.text(str(path))} cannot be read: {type(error).__name__}",
            fix="name a text file whose first line is the key",
        ) from None
    if mode & 0o077 and not (guarded and path.is_relative_to(guarded)):
        _LOG.warning("key file %s is readable by other users: chmod 600 it", path)
    if not lines or not lines[0].strip():
        raise JobError(f"endpoint.api_key_file {REDACTOR.text(str(path))}: its first line is empty")
    return ApiKey(lines[0].strip(), str(path))


def _key_from_command(command: str, cwd: Path) -> ApiKey:
    fix = "endpoint.api_key_command must print the key as its first line; it runs without a shell"
    try:
        done = subprocess.run(
            shlex.split(command),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise JobError(
            f"endpoint.api_key_command took more than {COMMAND_TIMEOUT_S:.0f} s", fix=fix
        ) from None
    except (OSError, ValueError, IndexError) as error:
        raise JobError(f"endpoint.api_key_command cannot be run: {type(error).__name__}", fix=fix) from None
    if done.returncode != 0:
        raise JobError(
            f"endpoint.api_key_command ended with exit code {done.returncode} (its output is not shown)",
            fix=fix,
        )
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if not lines or not lines[0].strip():
        raise JobError("endpoint.api_key_command printed no key", fix=fix)
    return ApiKey(lines[0].strip(), _COMMAND)


class ResolvedEndpoint(NamedTuple):
    """Where requests go: `base_url` without a trailing slash, the service's facts, and `name` for messages."""

    base_url: str
    profile: Profile
    name: str


def resolve_endpoint(job: Job, environ: Mapping[str, str], *, cwd: Path) -> ResolvedEndpoint:
    """Where this job's requests go. A profile's `base_url_env` moves it; one of `.env` would, and is refused.

    A `base_url` of the user's own carries a profile's facts (prices, refused fields) when the profile was chosen too,
    or when it is that profile's own URL. Raises JobError for an unusable URL.
    """
    endpoint = job.endpoint
    named = PROFILES[endpoint.profile]
    url = endpoint.base_url
    if url is None and named.base_url_env:
        url = environ.get(named.base_url_env)
        if not url and dotenv_variables(cwd).get(named.base_url_env):
            raise JobError(
                f"{named.base_url_env} (.env): a file .env gives keys and limits, and chooses no host",
                fix=f"export {named.base_url_env}, or add --base-url",
            )
    if not url and not named.base_url:
        raise JobError(
            f"profile {named.name} has no address of its own", fix=f"add --base-url {named.address_form}"
        )
    if not url:
        return ResolvedEndpoint(named.base_url, named, named.name)
    try:
        base_url = checked_base_url(url, allow_http=endpoint.allow_http)
    except BaseUrlFault as fault:
        setting = "endpoint.base_url" if endpoint.base_url else named.base_url_env
        meant = fault.suggestion or "https://host/v1"
        raise JobError(f"{setting} {fault}", fix=f"give a base URL such as {meant}") from None
    if endpoint.base_url is None or "profile" in endpoint.model_fields_set:
        profile = replace(named, base_url=base_url)
    else:
        own = Profile(urlsplit(base_url).netloc, base_url, None, CUSTOM_KEY_ENV)
        profile = next((known for known in PROFILES.values() if known.base_url == base_url), own)
    return ResolvedEndpoint(base_url, profile, profile.name)
