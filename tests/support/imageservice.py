"""A service that answers with an image or a link to one, over http or https, and remembers what it was asked for."""

from __future__ import annotations

import base64
import io
import json
import ssl
import threading
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from PIL import Image


def _png() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(out, "PNG")
    return out.getvalue()


PNG = _png()


class _Server(ThreadingHTTPServer):
    service: ImageService


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        service = self.server.service
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.headers.get("Content-Type", "").startswith("application/json"):
            service.bodies.append(json.loads(body))
        entry = (
            {"url": service.link}
            if service.link
            else {"b64_json": base64.b64encode(service.picture).decode()}
        )
        self._answer(json.dumps({"created": 1, "data": [entry]}).encode())

    def do_GET(self) -> None:
        self._answer(PNG if self.path.endswith(".png") else b"{}")

    def _answer(self, body: bytes) -> None:
        self.server.service.seen.append((self.command, self.path))
        self.server.service.headers.append(dict(self.headers))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


class ImageService(AbstractContextManager["ImageService"]):
    """tls: https with this. picture: what answers hold. link: what they hold instead; set it after the start."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, picture: bytes = PNG) -> None:
        self.picture = picture
        self.seen: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.link = ""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.service = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_port
        self.origin = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.base_url = f"{self.origin}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
