"""The one place that keeps secrets out of everything shown, logged or filed.

`REDACTOR` is shared by the whole program: `runner.config.credentials.find_key` registers what it finds, so a key that
turns up in a message, a traceback or a service's echo is replaced, in plain, URL-quoted and base64 form.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

HIDDEN = "[redacted]"

_SHORTEST_SECRET = 6
_SHORTEST_BASE64 = 12
_SHORTEST_PART = 12
_PART = re.compile(r"[A-Za-z0-9_:-]*\d[A-Za-z0-9_:-]*")
"""A part of a secret URL that is a secret by itself: a token, not a host or a word."""
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
    """The secret alone in base64, and at each of its three alignments without the digits that neighbours share."""
    raw = secret.encode()
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()
    for shift in range(3):
        digits = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        whole = digits[(0, 2, 3)[shift] : len(digits) - bool((shift + len(raw)) % 3)]
        yield whole
        yield whole.translate(str.maketrans("+/", "-_"))


class Redactor:
    """Replaces registered secrets, and anything that looks like one, by `[redacted]` or `…`."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._text: re.Pattern[str] | None = None
        self._bytes: re.Pattern[bytes] | None = None

    def register(self, secret: str) -> None:
        """Hide this value from now on. Fewer than 6 characters are not taken for a secret."""
        if len(secret) < _SHORTEST_SECRET:
            return
        self._forms |= {
            secret,
            quote(secret, safe=""),
            quote(secret),
            quote_plus(secret),
            json.dumps(secret)[1:-1],
        }
        self._forms |= {form for form in _base64_forms(secret) if len(form) >= _SHORTEST_BASE64}
        pattern = "|".join(map(re.escape, sorted(self._forms, key=len, reverse=True)))
        self._text, self._bytes = re.compile(pattern), re.compile(pattern.encode())

    def register_url(self, url: str) -> None:
        """Hide this URL from now on, and what in it may be a token, wherever it stands alone."""
        self.register(url)
        for part in re.split(r"[/@?&=]", url.partition("://")[2]):
            if len(part) >= _SHORTEST_PART and _PART.fullmatch(part):
                self.register(part)

    def register_variables(self, environ: Mapping[str, str]) -> None:
        """Hide the value of every variable whose name ends in `_API_KEY`, whichever of them is used later."""
        for name, value in environ.items():
            if name.upper().endswith("_API_KEY"):
                self.register(value)

    def keys(self, text: str) -> str:
        """The text with registered secrets replaced, otherwise verbatim."""
        return text if self._text is None else self._text.sub(HIDDEN, text)

    def key_bytes(self, data: bytes) -> bytes:
        """The bytes with registered secrets replaced, otherwise verbatim."""
        return data if self._bytes is None else self._bytes.sub(HIDDEN.encode(), data)

    def key_pieces(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same over a stream, wherever its pieces are cut."""
        held = max((len(form.encode()) for form in self._forms), default=1)
        tail = b""
        for piece in pieces:
            data = self.key_bytes(tail + piece)
            cut = max(0, len(data) - held)
            tail = data[cut:]
            yield data[:cut]
        yield tail

    def hide(self, text: str) -> str:
        """The text without registered secrets, keys that look like one, authorization values and URL queries."""
        text = self.keys(text)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        return text

    def text(self, text: str, *, lines: bool = False) -> str:
        r"""As `hide`, and harmless to a terminal: control characters appear as `\x1b`.

        lines: keep newlines and tabs; otherwise the result is one line.
        """
        safe = _CONTROL.sub(_escaped, self.hide(text))
        return safe if lines else safe.replace("\n", "\\n").replace("\t", "\\t")


REDACTOR = Redactor()
"""The one that everything shares."""
