"""Translates exceptions of aiohttp and the system into how far an exchange came."""

from __future__ import annotations

import errno
import os

import aiohttp
from yarl import URL

from jobs.classify import BreakKind
from runner.config.base_urls import checked_base_url, is_loopback
from runner.http.messages import BrokenExchange
from runner.http.proxies import Proxy
from runner.http.sessions import CONNECT_TIMEOUT_S, RequestProgress

_ASKS_FOR_A_PASSWORD = 407
_SIGNED_BY_NOBODY_KNOWN = frozenset({18, 19, 20, 21})
"""OpenSSL's numbers: self-signed, such a one in the chain, no local issuer, the first one cannot be verified."""
_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
"""OpenSSL's words, of several releases, for an answer that is no TLS."""
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ProxyRefused(aiohttp.ClientError):
    """A proxy answered a request itself, and passed nothing on."""

    def __init__(self, status: int, reason: str | None) -> None:
        super().__init__(f"HTTP {status} {reason or ''}".rstrip())
        self.status = status


def broken_exchange(
    error: Exception, url: URL, proxy: Proxy | None, progress: RequestProgress, latency_s: float
) -> BrokenExchange:
    """The value for an exchange with this URL, through this proxy, that ended by an exception."""
    if not progress.sent or isinstance(error, ProxyRefused):
        local = getattr(error, "errno", None) in _LOCAL
        how = BreakKind.BARRED if _is_lasting(error) else BreakKind.BEFORE_SENDING
        return BrokenExchange(how, f"no connection: {unreached(error, url, proxy)}", local=local)
    status = progress.status
    if status is not None:
        return BrokenExchange(
            BreakKind.BODY_CUT, f"the answer broke off: {_reason(error)}", status, latency_s=latency_s
        )
    if isinstance(error, TimeoutError):
        return BrokenExchange(BreakKind.TIMEOUT, f"no answer within {latency_s:.0f} s", latency_s=latency_s)
    return BrokenExchange(BreakKind.DISCONNECTED, f"no answer: {_reason(error)}", latency_s=latency_s)


def unreached(error: Exception, url: URL, proxy: Proxy | None) -> str:
    """Why there is no connection for a URL; a proxy is named without its password."""
    where = where_of(url)
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
    if _speaks_http(error):
        return f"{where} speaks http, and no https; {_over_http(url)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = _one_line(_said(error.os_error))
        if proxy is not None and isinstance(error, aiohttp.ClientProxyConnectionError):
            return f"the proxy {proxy} of {proxy.variable} cannot be reached: {reason}"
        return f"Cannot connect to host {error.host}:{error.port}{through}: {reason}"
    return _reason(error)


def _is_lasting(error: Exception) -> bool:
    """Whether trying again is in vain until somebody changes a setting."""
    refusal = _refusal(error)
    if refusal is not None:
        return refusal[0] == _ASKS_FOR_A_PASSWORD
    return isinstance(error, aiohttp.ClientConnectorCertificateError) or _speaks_http(error)


def _speaks_http(error: Exception) -> bool:
    """Whether a server answered a TLS handshake with plain text, as one does that expects http."""
    reason = getattr(getattr(error, "os_error", None), "reason", None)
    return isinstance(error, aiohttp.ClientConnectorSSLError) and reason in _NO_TLS


def _over_http(url: URL) -> str:
    """What to type to ask the same over http."""
    base_url = checked_base_url(f"http://{where_of(url)}{url.raw_path}", allow_http=True)
    public = "" if is_loopback(url.host or "") else " --allow-http, where the key may travel in the clear"
    return f"use --base-url {base_url}{public}"


def where_of(url: URL) -> str:
    """Host and port."""
    return f"{url.host}:{url.port}"


def _said(error: OSError) -> str:
    """What the system says; asyncio names the address instead where a connection is refused."""
    if error.errno is not None and error.errno > 0 and "Connect call failed" in str(error.strerror):
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


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
