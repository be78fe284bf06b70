"""Network settings of every request: proxies, and trusted certificates."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yarl import URL

from runner.http.proxies import Proxies, Proxy
from runner.process.redaction import REDACTOR
from schemas.errors import JobError
from schemas.job import EndpointTable


class Network:
    """The network settings of one command.

    Args:
        proxies: the proxies of the environment; by default none.
        ca_file: certificates (PEM) to trust in addition to the system's, or to those of SSL_CERT_FILE.
    """

    def __init__(self, proxies: Proxies | None = None, ca_file: Path | None = None) -> None:
        self.proxies = proxies or Proxies()
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._making = threading.Lock()

    @classmethod
    def from_settings(cls, endpoint: EndpointTable, environ: Mapping[str, str], *, cwd: Path) -> Network:
        """The settings of the environment and the job. Raises JobError (exit 2) for an unusable proxy or file."""
        if path := environ.get("SSL_CERT_FILE"):
            _checked("SSL_CERT_FILE", Path(path))
        own = None if endpoint.ca_file is None else cwd / Path(endpoint.ca_file).expanduser()
        if own is not None:
            _checked("endpoint.ca_file", own)
        return cls(Proxies.from_environ(environ), own)

    def proxy_for(self, url: URL) -> Proxy | None:
        """The proxy that a request for this URL goes through."""
        if not self.proxies.by_scheme:
            return None
        return self.proxies.proxy_for(url.scheme, url.raw_host or "", url.port)

    def tls(self) -> ssl.SSLContext:
        """The TLS context, made once (some 20 ms). OpenSSL itself reads SSL_CERT_FILE."""
        with self._making:
            if self._tls is None:
                made = ssl.create_default_context()
                made.set_alpn_protocols(["http/1.1"])
                if self._ca_file is not None:
                    made.load_verify_locations(self._ca_file)
                self._tls = made
            return self._tls

    def options(self, url: URL, headers: Mapping[str, str]) -> dict[str, Any]:
        """Keyword arguments of aiohttp's `ClientSession.request` for this URL: headers, proxy, certificates.

        A user name and a password go to the proxy alone: within TLS that is the request for the tunnel.
        """
        proxy = self.proxy_for(url)
        options: dict[str, Any] = {"headers": headers}
        if url.scheme == "https" or (proxy is not None and proxy.scheme == "https"):
            options["ssl"] = self.tls()
        if proxy is not None:
            options["proxy"] = str(proxy)
            if proxy.authorization is not None:
                authorization = {"Proxy-Authorization": proxy.authorization}
                if url.scheme == "https":
                    options["proxy_headers"] = authorization
                else:
                    options["headers"] = {**headers, **authorization}
        return options


def _checked(setting: str, path: Path) -> None:
    """Raises JobError (exit 2) for a file without a certificate."""
    shown = REDACTOR.text(str(path))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise JobError(
            f"{setting} {shown} holds no certificate", fix="name a file of certificates in PEM form"
        ) from None
    except OSError as error:
        raise JobError(
            f"{setting} {shown} cannot be read: {error.strerror}", fix="name a file of certificates"
        ) from None
