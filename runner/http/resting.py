"""Connections that rest between two requests, so that bytes that nobody asked for are seen before they do harm.

A gateway that sends an answer twice sends the copy some milliseconds later. Over a connection that is used again at once
the copy is the answer to the next request, and a picture stands under another row. So each connection rests, unused, and
another one that has rested goes in its place; what comes meanwhile ends the reuse of connections for the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import TCPConnector, http_exceptions
from aiohttp.client_proto import ResponseHandler

REST_S = 0.02
"""At 3,000 answers a second 60 connections rest at a time; each carries a request again, so none is opened for that."""
MOST_RESTING = 128
"""Connections beyond are closed: each is a descriptor."""


class RestingConnector(TCPConnector):
    """Gives no connection out again before it has rested. Other code of aiohttp calls `_release` after each answer, which is
    no public part of it: `tests/runner/http/test_resting.py` holds that against the aiohttp that is installed.

    unasked: called when a connection has brought bytes that nobody asked for.
    """

    def __init__(self, unasked: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self._unasked = unasked
        self._resting = 0

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        if self._closed or should_close or protocol.should_close or self._resting >= MOST_RESTING:
            self._look(protocol)
            super()._release(key, protocol, should_close=True)
            return
        self._resting += 1
        self._loop.call_later(REST_S, self._rested, key, protocol)

    def _rested(self, key: Any, protocol: ResponseHandler) -> None:
        self._resting -= 1
        self._look(protocol)
        super()._release(key, protocol)

    def _look(self, protocol: ResponseHandler) -> None:
        if has_unasked(protocol):
            self._unasked()


def has_unasked(protocol: ResponseHandler) -> bool:
    """Whether bytes have come over a connection behind its answer."""
    inner: Any = protocol
    waiting = getattr(inner, "_buffer", None) or getattr(inner, "_tail", None)
    return bool(waiting) or isinstance(protocol.exception(), http_exceptions.HttpProcessingError)
