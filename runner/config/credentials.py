"""The key and the endpoint that it goes to."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from runner.process.redaction import REDACTOR, Redactor
from schemas.errors import JobError
from schemas.job import secrecy
from schemas.providers import CUSTOM_KEY_ENV, PROFILES, Profile
from schemas.secrecy import BY_NAME, Secrecy

if TYPE_CHECKING:
    from schemas.job import EndpointTable, Job

__all__ = [
    "REDACTOR",
    "ApiKey",
    "Redactor",
    "ResolvedEndpoint",
    "checked_base_url",
    "dotenv_variables",
    "find_key",
    "register_secrets",
    "resolve_endpoint",
]

COMMAND_TIMEOUT_S = 30.0

_LOG = logging.getLogger(__name__)
_KEY = re.compile(r"[\x21-\x7e]+")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_QUERY = re.compile(r"api-version=[\w.-]+", re.ASCII)
"""The one query that a base URL may have: it is part of Azure's address, and no secret."""
_OPERATION = re.compile(r"/(images(/(generations|edits))?|chat/completions)$")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key and where it was found (`environment variable OPENAI_API_KEY`). Printing it never shows the value."""

    value: str = field(repr=False)
    source: str


def dotenv_variables(cwd: Path) -> dict[str, str]:
    """The variables of `.env` in `cwd`, as written there; empty without one. Raises JobError when it is unreadable."""
    from dotenv import dotenv_values

    path = cwd / ".env"
    if not path.is_file():
        return {}
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
        key = _key_from_command(endpoint.api_key_command, cwd)
    else:
        key = _key_from_variables(_key_variables(endpoint), environ, dotenv_variables(cwd))
    REDACTOR.register(key.value)
    if _KEY.fullmatch(key.value) is None:
        raise JobError(
            f"the key from {key.source} holds blanks, line breaks or characters outside ASCII (not shown)",
            fix="set it again, without quotes, blanks or line breaks",
        )
    return key


def _key_variables(endpoint: EndpointTable) -> tuple[str, ...]:
    if endpoint.api_key_env is not None:
        return (endpoint.api_key_env,)
    return CUSTOM_KEY_ENV if endpoint.base_url is not None else PROFILES[endpoint.profile].key_env


def _shown_variable(name: str) -> str:
    """A variable's name, unless it may be a key that was put where the name belongs."""
    return name if _VARIABLE.fullmatch(name) else "the variable named by endpoint.api_key_env"


def _key_from_variables(
    names: tuple[str, ...], environ: Mapping[str, str], dotenv: Mapping[str, str]
) -> ApiKey:
    for name in names:
        for values, where in ((environ, "environment variable"), (dotenv, ".env variable")):
            if values.get(name):
                return ApiKey(values[name], f"{where} {_shown_variable(name)}")
    shown = [_shown_variable(name) for name in names]
    raise JobError(
        f"no API key: {' and '.join(shown)} {'is' if len(shown) == 1 else 'are'} not set (environment and .env)",
        fix=f"export {names[0] if _VARIABLE.fullmatch(names[0]) else 'NAME'}=…, or add --simulate to try without a key",
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
    return ApiKey(lines[0].strip(), f"file {path}")


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
    return ApiKey(lines[0].strip(), "endpoint.api_key_command")


def register_secrets(settings: Mapping[str, Any]) -> None:
    """Hide secret settings wherever they show, before they are checked: they may be of any form.

    settings: dotted key -> value, as written.
    """
    for key, value in settings.items():
        if secrecy(key) is Secrecy.SECRET:
            for text in _texts(value):
                if not text.startswith(BY_NAME):
                    REDACTOR.register_url(text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


class ResolvedEndpoint(NamedTuple):
    """Where requests go: `base_url` without a trailing slash, the service's facts, and `name` for messages."""

    base_url: str
    profile: Profile
    name: str


def checked_base_url(text: str, *, allow_http: bool) -> str:
    """The base URL with scheme and host in lower case and no trailing slash; it may have `?api-version=…`.

    Raises ValueError with the reason, which never repeats the URL.
    """
    url = text.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    path = parts.path.rstrip("/")
    faults = (
        (re.search(r"[\s\x00-\x1f\x7f\\]", url), "holds blanks, control characters or backslashes"),
        (parts.scheme not in ("http", "https"), "must begin with https://"),
        (not host, "has no host"),
        ("@" in parts.netloc, "must not hold a user name or password"),
        (
            "#" in url or ("?" in url and not _QUERY.fullmatch(parts.query)),
            "must not hold a query or a fragment",
        ),
        (_OPERATION.search(path), "must end at the version path (…/v1): leave the operation's path out"),
        (
            parts.scheme == "http" and not allow_http and not _is_loopback(host),
            "is plain http, so the key could be read on the way: use https, or --allow-http if you mean it",
        ),
    )
    for fault, reason in faults:
        if fault:
            raise ValueError(reason)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc.lower()}{path}{query}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def resolve_endpoint(job: Job, environ: Mapping[str, str], *, cwd: Path) -> ResolvedEndpoint:
    """Where this job's requests go. A profile's `base_url_env` (environment or `.env`) moves it.

    A `base_url` of the user's own carries a profile's facts (prices, refused fields) when the profile was chosen too,
    or when it is that profile's own URL. Raises JobError for an unusable URL.
    """
    endpoint = job.endpoint
    named = PROFILES[endpoint.profile]
    url = endpoint.base_url
    if url is None and named.base_url_env:
        url = environ.get(named.base_url_env) or dotenv_variables(cwd).get(named.base_url_env)
    if not url and not named.base_url:
        raise JobError(
            f"profile {named.name} has no address of its own", fix=f"add --base-url {named.address_form}"
        )
    if not url:
        return ResolvedEndpoint(named.base_url, named, named.name)
    try:
        base_url = checked_base_url(url, allow_http=endpoint.allow_http)
    except ValueError as error:
        setting = "endpoint.base_url" if endpoint.base_url else named.base_url_env
        raise JobError(f"{setting} {error}", fix="give a base URL such as https://host/v1") from None
    if endpoint.base_url is None or "profile" in endpoint.model_fields_set:
        profile = replace(named, base_url=base_url)
    else:
        own = Profile(urlsplit(base_url).netloc, base_url, None, CUSTOM_KEY_ENV)
        profile = next((known for known in PROFILES.values() if known.base_url == base_url), own)
    return ResolvedEndpoint(base_url, profile, profile.name)
