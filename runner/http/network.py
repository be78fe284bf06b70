"""The way to other machines: the proxies in between, and the certificates that are believed."""

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
    """What every request to another machine goes by.

    Args:
        proxies: the proxies of the environment; by default none.
        ca_file: certificates (PEM) that are believed besides the system's, or those of SSL_CERT_FILE.
    """

    def __init__(self, proxies: Proxies | None = None, ca_file: Path | None = None) -> None:
        self.proxies = proxies or Proxies()
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._making = threading.Lock()

    @classmethod
    def of(cls, endpoint: EndpointTable, environ: Mapping[str, str], *, cwd: Path) -> Network:
        """As the environment and the job say. Raises JobError (exit 2) for a proxy or a file that is of no use."""
        if path := environ.get("SSL_CERT_FILE"):
            _checked("SSL_CERT_FILE", Path(path))
        own = None if endpoint.ca_file is None else cwd / Path(endpoint.ca_file).expanduser()
        if own is not None:
            _checked("endpoint.ca_file", own)
        return cls(Proxies.of(environ), own)

    def proxy_of(self, url: URL) -> Proxy | None:
        """The proxy that a request for this URL goes through."""
        if not self.proxies.by_scheme:
            return None
        return self.proxies.of_url(url.scheme, url.raw_host or "", url.port)

    def tls(self) -> ssl.SSLContext:
        """Whom TLS believes. Making it takes some 20 ms, once; SSL_CERT_FILE is read by OpenSSL itself."""
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
        proxy = self.proxy_of(url)
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
