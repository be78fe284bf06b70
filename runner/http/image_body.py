"""Reads an answer and decodes its base64 images while they arrive, so that the megabytes are never in memory twice.

A body is almost wholly one or more `"b64_json": "…"` strings. `ImageLifter` takes them out of the stream: the document that
remains is small JSON in which each image is the string `lifted:0`, `lifted:1`, …, and the images are bytes. A string that
cannot be decoded strictly (white space, escapes, a data-URI prefix, rubbish) is kept as text and decoded at the end, or
left as it is. The body can always be put together again, byte for byte, for `quarantine/`.
"""

from __future__ import annotations

import binascii
import json
import re
from typing import TypeAlias

import pybase64

from runner.http.messages import LIFTED, Body, BodyTooLarge, LiftedImage

_KEY = re.compile(rb'"b64_json"\s*:\s*"')
_KEY_TAIL = 64
"""Bytes held back between chunks so that a split key is still found; more white space than this defeats lifting only."""
_PREFIX = re.compile(rb"\s*data:[\w.+/-]*(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_UNUSUAL = re.compile(rb"[^A-Za-z0-9+/]")
WINDOW_MARGIN = 4
"""Bytes before a window that `ImageLifter.feed_window` may write over."""
_SPACE = re.compile(rb"\s+")


class ImageLifter:
    """Fed with the body's chunks in order; `finish` gives the `Body`. Holds the images and little else."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._skeleton: list[bytes] = []
        self._skeleton_size = 0
        self._images: list[LiftedImage] = []
        self._marks: list[int] = []
        self._held = b""
        self._string: _Base64String | None = None
        self.size = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises BodyTooLarge beyond the cap."""
        self.size += len(chunk)
        self._check()
        data = self._held + chunk if self._held else chunk
        self._held = b""
        while data:
            data = self._in_string(data) if self._string else self._in_document(data)

    def feed_window(self, window: bytearray, start: int, end: int) -> None:
        """As `feed`, for `window[start:end]`: without a copy where it is all base64. The margin before it may change."""
        string = self._string
        if string is None or not string.take(window, start, end):
            self.feed(bytes(memoryview(window)[start:end]))
            return
        self.size += end - start
        self._check()

    def _check(self) -> None:
        if self.size > self._max_bytes:
            raise BodyTooLarge(f"more than {self._max_bytes:,} bytes")

    def _in_document(self, data: bytes) -> bytes:
        found = _KEY.search(data)
        if found is None:
            keep = max(0, len(data) - _KEY_TAIL)
            self._keep(data[:keep])
            self._held = data[keep:]
            return b""
        self._keep(data[: found.end()])
        self._string = _Base64String()
        return data[found.end() :]

    def _in_string(self, data: bytes) -> bytes:
        string = self._string
        assert string is not None
        end = string.feed(data)
        if end is None:
            return b""
        self._end_string(string)
        return data[end:]

    def _end_string(self, string: _Base64String) -> None:
        self._marks.append(self._skeleton_size)
        self._keep(f"{LIFTED}{len(self._images)}".encode())
        self._images.append(string.finish())
        self._string = None

    def _keep(self, piece: bytes) -> None:
        self._skeleton.append(piece)
        self._skeleton_size += len(piece)

    def finish(self) -> Body:
        """The whole body, after its last byte."""
        if self._string is not None:
            self._end_string(self._string)
        self._keep(self._held)
        return Body(b"".join(self._skeleton), tuple(self._images), tuple(self._marks), self.size)


class ByteCollector:
    """Collects a body that is not parsed, with the interface of `ImageLifter`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self.size = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises BodyTooLarge beyond the cap."""
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise BodyTooLarge(f"more than {self._max_bytes:,} bytes")
        self._pieces.append(chunk)

    def finish(self) -> Body:
        """The whole body, after its last byte."""
        return Body(b"", (), (), self.size, tuple(self._pieces))


Sink: TypeAlias = ImageLifter | ByteCollector
"""What a body's chunks are fed to."""


class _Base64String:
    """One JSON string, fed in pieces: strict base64 is decoded at once, anything else is collected as text."""

    def __init__(self) -> None:
        self._decoded: list[bytes] = []
        self._carry = b""
        self._text: list[bytes] | None = None
        self._escape = False

    def feed(self, data: bytes) -> int | None:
        """Take bytes up to the closing quote; its end's offset, or None when the string goes on."""
        if self._text is None:
            quote = data.find(b'"')
            part = data if quote < 0 else data[:quote]
            if self._decode(part):
                return None if quote < 0 else quote
            self._fall_back()
        return self._collect(data)

    def take(self, window: bytearray, start: int, end: int) -> bool:
        """Decode `window[start:end]` in place; False, and nothing is taken, when not all of it is plain base64.

        Up to `WINDOW_MARGIN` bytes before `start` are written over.
        """
        if self._text is not None or (self._decoded and len(self._decoded[-1]) % 3):
            return False
        begin = start - len(self._carry)
        window[begin:start] = self._carry
        usable = begin + (end - begin) // 4 * 4
        rest = bytes(window[usable:end])
        try:
            decoded = pybase64.b64decode(memoryview(window)[begin:usable], validate=True)
        except binascii.Error:
            return False
        if len(decoded) % 3 or (not rest.isalnum() and _UNUSUAL.search(rest)):
            return False
        if decoded:
            self._decoded.append(decoded)
        self._carry = rest
        return True

    def _decode(self, part: bytes) -> bool:
        whole = self._carry + part if self._carry else part
        usable = len(whole) - len(whole) % 4
        if b"\\" in whole[usable:]:
            return False
        try:
            decoded = pybase64.b64decode(memoryview(whole)[:usable], validate=True)
        except binascii.Error:
            return False
        if decoded and self._decoded and usable and len(self._decoded[-1]) % 3:
            return False
        odd = len(decoded) % 3
        if odd and pybase64.b64encode(decoded[-odd:]) != whole[usable - 4 : usable]:
            return False
        if decoded:
            self._decoded.append(decoded)
        self._carry = whole[usable:]
        return True

    def _fall_back(self) -> None:
        self._text = [pybase64.b64encode(b"".join(self._decoded)), self._carry]
        self._decoded, self._carry = [], b""

    def _collect(self, data: bytes) -> int | None:
        """Collect up to the first quote that no backslash escapes."""
        text = self._text
        assert text is not None
        at = 0
        while at < len(data):
            if self._escape:
                self._escape = False
                at += 1
                continue
            quote, slash = data.find(b'"', at), data.find(b"\\", at)
            if slash >= 0 and (quote < 0 or slash < quote):
                self._escape = True
                at = slash + 1
                continue
            if quote >= 0:
                text.append(data[:quote])
                return quote
            break
        text.append(data)
        return None

    def finish(self) -> LiftedImage:
        if self._text is None and not self._carry:
            return LiftedImage(tuple(self._decoded), None)
        if self._text is None:
            self._fall_back()
        text = b"".join(self._text or ())
        data = decode_loosely(text)
        return LiftedImage(None if data is None else (data,), text)


def decode_loosely(text: bytes) -> bytes | None:
    """Bytes of base64 that may have a data-URI prefix, white space, JSON escapes or no padding; else None."""
    if b"\\" in text:
        try:
            text = json.loads(b'"' + text + b'"', strict=False).encode()
        except ValueError:
            return None
    prefix = _PREFIX.match(text)
    plain = _SPACE.sub(b"", text[prefix.end() :] if prefix else text)
    plain += b"=" * (-len(plain) % 4)
    try:
        return pybase64.b64decode(plain, validate=True)
    except binascii.Error:
        return None
