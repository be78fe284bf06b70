"""Whether an endpoint answers as an API and takes the key; where it does not, whether an address near it does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from yarl import URL

from jobs.classify import classify_refusal
from jobs.error_documents import is_error, is_page, title_of
from runner.config.base_urls import has_version
from runner.doctor.findings import Check, Level
from runner.http.network import Network
from schemas.errors import ExitCode
from schemas.failures import Billed, FailureKind

REQUEST_TIMEOUT_S = 10.0
_MOST_BYTES = 2**20
_ACCOUNT = frozenset({FailureKind.AUTH, FailureKind.FORBIDDEN, FailureKind.QUOTA})


class Listed(NamedTuple):
    """The answer to `GET …/models`. document: parsed JSON or None. problem: why there is none; "" where there is one."""

    url: URL
    status: int = 0
    text: str = ""
    document: Any = None
    problem: str = ""

    @property
    def is_api(self) -> bool:
        """Whether an API has answered: with its models, or with a refusal of its own to somebody who asks for them."""
        return self.lists_models or (self.status in (401, 403) and isinstance(self.document, dict))

    @property
    def lists_models(self) -> bool:
        """Whether it is a list of models, as an API gives it to a key that it accepts."""
        found = self.document.get("data") if isinstance(self.document, dict) else None
        return 200 <= self.status < 300 and isinstance(found, list)


async def look(base_url: str, headers: dict[str, str], network: Network, key_from: str | None) -> Check:
    """Ask for the list of models, and elsewhere on the same host where no API answers. headers: the key's; none without one.

    Redirects are not followed, so the key stays with the endpoint.
    """
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        found = await _listed(session, URL(base_url), headers, network)
        if found.problem:
            return Check("endpoint", Level.FAIL, f"{found.url}: {found.problem}", ExitCode.SERVICE_DOWN)
        if found.status in (404, 405) or is_page(found.text):
            for other in _nearby(URL(base_url)):
                if (await _listed(session, other, headers, network)).is_api:
                    told = f"{found.url}: {_no_api(found)}; {other} answers as an API: use --base-url {other}"
                    return Check("endpoint", Level.FAIL, told, ExitCode.ACCOUNT)
    return endpoint_check(found, key_from)


async def _listed(session: Any, base: URL, headers: dict[str, str], network: Network) -> Listed:
    import aiohttp

    from runner.http.exchange_errors import unreached

    url = base.with_path(f"{base.path.rstrip('/')}/models").with_query(base.query)
    try:
        async with session.get(url, allow_redirects=False, **network.options(url, headers)) as answer:
            text = (await answer.content.read(_MOST_BYTES)).decode("utf-8", "replace")
            while len(text) < _MOST_BYTES and (more := await answer.content.read(_MOST_BYTES)):
                text += more.decode("utf-8", "replace")
            return Listed(url, answer.status, text, _parsed(text))
    except TimeoutError:
        return Listed(url, problem=f"no answer in {REQUEST_TIMEOUT_S:.0f} s")
    except aiohttp.ClientError as error:
        return Listed(url, problem=unreached(error, url, network.proxy_for(url)))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _nearby(base: URL) -> Iterator[URL]:
    """Base URLs that were probably meant."""
    if not has_version(str(base)):
        yield base.with_path(f"{base.path.rstrip('/')}/v1")
    if base.path not in ("", "/", "/v1"):
        yield base.with_path("/v1").with_query(None)


def _no_api(found: Listed) -> str:
    """What answered instead of an API."""
    if not is_page(found.text):
        return f"nothing is there (HTTP {found.status})"
    title = title_of(found.text)
    named = f" (title: {title})" if title else ""
    return f"a web page answers{named}, and no API (HTTP {found.status})"


_MEANINGS: dict[int, tuple[Level, str, ExitCode]] = {
    401: (Level.FAIL, "{key} is wrong or revoked", ExitCode.ACCOUNT),
    403: (Level.FAIL, "{key} may not use this", ExitCode.ACCOUNT),
    404: (Level.OK, "reachable; it lists no models, so the key is not checked", ExitCode.OK),
    405: (Level.OK, "reachable; it lists no models, so the key is not checked", ExitCode.OK),
    429: (Level.WARN, "reachable, refusing for now", ExitCode.OK),
}


def endpoint_check(found: Listed, key_from: str | None) -> Check:
    """What the answer to `GET …/models` says about endpoint and key. key_from: None where there was no key to send."""
    level, meaning, code = Level.WARN, "reachable, but unwell or unfamiliar", ExitCode.OK
    if key_from is None and found.is_api:
        level, meaning = (
            Level.OK,
            "an API answers" if found.lists_models else "an API answers, and asks for a key",
        )
    elif found.lists_models:
        level, meaning = Level.OK, "reachable, the key is accepted"
    elif is_page(found.text) and found.status < 500:
        return Check(
            "endpoint",
            Level.FAIL,
            f"{found.url}: {_no_api(found)}; give the API's --base-url",
            ExitCode.ACCOUNT,
        )
    elif key_from is None and found.status in (401, 403):
        level, meaning = Level.OK, "reachable, and asks for a key"
    elif found.status in _MEANINGS:
        level, meaning, code = _MEANINGS[found.status]
    elif found.status < 300 and is_error(found.document):
        refused = classify_refusal(
            found.status, {}, found.document, found.text, now=time.time(), server_error_billed=Billed.NO
        )
        meaning = f"refused: {refused.message}"
        if refused.kind in _ACCOUNT:
            level, code = Level.FAIL, ExitCode.ACCOUNT
    elif found.status < 300:
        meaning = "reachable; it lists no models, so the key is not checked"
    elif found.status < 400:
        meaning = "redirects; is this the API's own base URL?"
    told = meaning.replace("{key}", f"the key from {key_from}")
    return Check("endpoint", level, f"{found.url}: {told} (HTTP {found.status})", code)
