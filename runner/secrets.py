"""The key and the endpoint it goes to, and the one place that keeps secrets out of everything shown or logged.

`REDACTOR` is shared by logging and the command line: `find_key` registers what it finds there, so a key that turns
up in a message, a traceback or a service's echo is replaced, in plain, URL-quoted and base64 form.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, urlsplit

from schemas.endpoints import CUSTOM_KEY_ENV, PROFILES, Profile
from schemas.exit_codes import JobError

if TYPE_CHECKING:
    from schemas.job import EndpointTable, Job

COMMAND_TIMEOUT_S = 30.0
HIDDEN = "[redacted]"

_LOG = logging.getLogger(__name__)
_KEY = re.compile(r"[\x21-\x7e]+")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_OPERATION = re.compile(r"/(images(/(generations|edits))?|chat/completions)$")

_SHORTEST_SECRET = 4
_SIGNED = r"(?i)([?&](?:sig|signature|token|access_token|key|api_?key|se|sv|exp|expires|x-[a-z]+-[a-z-]+|auth[a-z]*)=)"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:\\?/\\?/)[^\s/?#\"'<>\\@]+@"), r"\1…@"),
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:\\?/\\?/[^\s?#\"'<>]+)\?[^\s\"'<>]+"), r"\1?…"),
    (re.compile(_SIGNED + r"[^&\s\"'<>]+"), r"\1…"),
    (re.compile(r"(?i)\b(bearer)\s+[^\s\"',;…\[]+"), r"\1 " + HIDDEN),
    (re.compile(r"(?i)\b(x-api-key|api-key)(\"?'?\s*[:=]\s*\"?'?)[^\s\"',;…\[]+"), r"\1\2" + HIDDEN),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{8,}"), HIDDEN),
)
"""User names in URLs, every URL query (links to paid images are signed), authorization headers, OpenAI-style keys."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _base64_forms(secret: str) -> Iterator[str]:
    """What base64 makes of the secret at each of its three alignments, without the digits that neighbours share."""
    raw = secret.encode()
    for shift in range(3):
        digits = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        whole = digits[(0, 2, 3)[shift] : len(digits) - bool((shift + len(raw)) % 3)]
        yield whole
        yield whole.translate(str.maketrans("+/", "-_"))


class Redactor:
    """Replaces registered secrets, and anything that looks like one, by `[redacted]` or `…`."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def register(self, secret: str) -> None:
        """Hide this value from now on. Fewer than 4 characters are not taken for a secret."""
        if len(secret) < _SHORTEST_SECRET:
            return
        self._forms |= {
            secret,
            quote(secret, safe=""),
            quote(secret),
            quote_plus(secret),
            json.dumps(secret)[1:-1],
        }
        self._forms |= {form for form in _base64_forms(secret) if len(form) >= _SHORTEST_SECRET}
        self._pattern = re.compile("|".join(map(re.escape, sorted(self._forms, key=len, reverse=True))))

    def hide(self, text: str) -> str:
        """The text without secrets, otherwise as it was."""
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        return text

    def keys(self, text: str) -> str:
        """The text without registered secrets and nothing else changed: for what a service wrote and a user paid for."""
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None else text

    def key_bytes(self, data: bytes) -> bytes:
        """The same for bytes of any encoding."""
        for form in self._forms:
            data = data.replace(form.encode(), HIDDEN.encode())
        return data

    def text(self, text: str, *, lines: bool = False) -> str:
        r"""The text without secrets and harmless to a terminal: control characters appear as `\x1b`.

        lines: keep newlines and tabs; otherwise the result is one line.
        """
        safe = _CONTROL.sub(_escaped, self.hide(text))
        return safe if lines else safe.replace("\n", "\\n").replace("\t", "\\t")


REDACTOR = Redactor()
"""The one used by logging and the command line."""


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
        key = _key_from_file(cwd / Path(endpoint.api_key_file).expanduser())
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


def _key_from_file(path: Path) -> ApiKey:
    try:
        mode = path.stat().st_mode
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(
            f"endpoint.api_key_file {REDACTOR.text(str(path))} cannot be read: {type(error).__name__}",
            fix="name a text file whose first line is the key",
        ) from None
    if mode & 0o077:
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


@dataclass(frozen=True, slots=True)
class ResolvedEndpoint:
    """Where requests go: `base_url` without a trailing slash, the service's facts, and `name` for messages."""

    base_url: str
    profile: Profile
    name: str


def checked_base_url(text: str, *, allow_http: bool) -> str:
    """The base URL with scheme and host in lower case and no trailing slash.

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
        ("?" in url or "#" in url, "must not hold a query or a fragment"),
        (_OPERATION.search(path), "must end at the version path (…/v1): leave the operation's path out"),
        (
            parts.scheme == "http" and not allow_http and not _is_loopback(host),
            "is plain http, so the key could be read on the way: use https, or --allow-http if you mean it",
        ),
    )
    for fault, reason in faults:
        if fault:
            raise ValueError(reason)
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def resolve_endpoint(job: Job, environ: Mapping[str, str], *, cwd: Path) -> ResolvedEndpoint:
    """Where this job's requests go. `OPENAI_BASE_URL` (environment or `.env`) moves profile `openai`.

    A `base_url` of the user's own carries a profile's facts (prices, refused fields) when the profile was chosen too,
    or when it is that profile's own URL. Raises JobError for an unusable URL.
    """
    endpoint = job.endpoint
    named = PROFILES[endpoint.profile]
    url = endpoint.base_url
    if url is None and endpoint.profile == "openai":
        url = environ.get("OPENAI_BASE_URL") or dotenv_variables(cwd).get("OPENAI_BASE_URL")
    if not url:
        return ResolvedEndpoint(named.base_url, named, named.name)
    try:
        base_url = checked_base_url(url, allow_http=endpoint.allow_http)
    except ValueError as error:
        setting = "endpoint.base_url" if endpoint.base_url else "OPENAI_BASE_URL"
        raise JobError(f"{setting} {error}", fix="give a base URL such as https://host/v1") from None
    if endpoint.base_url is None or "profile" in endpoint.model_fields_set:
        profile = replace(named, base_url=base_url)
    else:
        own = Profile(urlsplit(base_url).netloc, base_url, None, CUSTOM_KEY_ENV)
        profile = next((known for known in PROFILES.values() if known.base_url == base_url), own)
    return ResolvedEndpoint(base_url, profile, profile.name)
