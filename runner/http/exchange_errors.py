"""From the exceptions of aiohttp and the system to how far an exchange came."""

from __future__ import annotations

import errno

import aiohttp
from yarl import URL

from jobs.classify import Broke
from runner.http.messages import Broken
from runner.http.proxies import Proxy
from runner.http.sessions import CONNECT_TIMEOUT_S, Progress

_ASKS_FOR_A_PASSWORD = 407
_SIGNED_BY_NOBODY_KNOWN = frozenset({18, 19, 20, 21})
"""OpenSSL's numbers: self-signed, such a one in the chain, no local issuer, the first one cannot be verified."""
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ProxyRefused(aiohttp.ClientError):
    """A proxy answered a request itself, and passed nothing on."""

    def __init__(self, status: int, reason: str | None) -> None:
        super().__init__(f"HTTP {status} {reason or ''}".rstrip())
        self.status = status


def broken(error: Exception, url: URL, proxy: Proxy | None, progress: Progress, latency_s: float) -> Broken:
    """What an exchange with this URL, by way of this proxy, came to that ended by an exception."""
    if not progress.sent or isinstance(error, ProxyRefused):
        local = getattr(error, "errno", None) in _LOCAL
        return Broken(Broke.BEFORE_SENDING, f"no connection: {unreached(error, url, proxy)}", local=local)
    status = progress.status
    if status is not None:
        return Broken(Broke.BODY_CUT, f"the answer broke off: {_reason(error)}", status, latency_s=latency_s)
    if isinstance(error, TimeoutError):
        return Broken(Broke.TIMEOUT, f"no answer within {latency_s:.0f} s", latency_s=latency_s)
    return Broken(Broke.DISCONNECTED, f"no answer: {_reason(error)}", latency_s=latency_s)


def unreached(error: Exception, url: URL, proxy: Proxy | None) -> str:
    """Why there is no connection for a URL; a proxy is named without its password."""
    where = f"{url.host}:{url.port}"
    if proxy is not None and (refusal := _refusal(error)) is not None:
        hint = (
            f" (user name and password stand in {proxy.variable})"
            if refusal[0] == _ASKS_FOR_A_PASSWORD
            else ""
        )
        return f"the proxy {proxy} refuses to connect to {where}: {refusal[1]}{hint}"
    through = "" if proxy is None else f" through the proxy {proxy}"
    if isinstance(error, TimeoutError):
        return f"Cannot connect to host {where}{through} within {CONNECT_TIMEOUT_S:.0f} s"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {where} is not trusted: {_distrust(error.certificate_error)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = _one_line(error.os_error.strerror or str(error.os_error) or type(error.os_error).__name__)
        if proxy is not None and isinstance(error, aiohttp.ClientProxyConnectionError):
            return f"the proxy {proxy} of {proxy.variable} cannot be reached: {reason}"
        return f"Cannot connect to host {error.host}:{error.port}{through}: {reason}"
    return _reason(error)


def _refusal(error: Exception) -> tuple[int, str] | None:
    """Status and words of a proxy that does not connect."""
    if isinstance(error, ProxyRefused):
        return error.status, str(error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return error.status, f"HTTP {error.status} {_one_line(error.message)}".rstrip()
    return None


def _distrust(error: Exception) -> str:
    """Why a certificate is not believed, and what helps where nobody known has signed it."""
    reason = _one_line(getattr(error, "verify_message", "") or str(error))
    if getattr(error, "verify_code", None) in _SIGNED_BY_NOBODY_KNOWN:
        return f"{reason}; if your own authority signed it: --set endpoint.ca_file=FILE.pem, or SSL_CERT_FILE"
    return reason


def _reason(error: Exception) -> str:
    text = _one_line(str(error))
    if isinstance(error, TimeoutError):
        return text or "silence for too long"
    return text or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
