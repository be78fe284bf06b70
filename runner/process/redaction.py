"""Keeps secrets out of everything that is shown, logged or written.

`REDACTOR` is shared by the whole program: `runner.config.credentials.find_key` registers what it finds, so a key that
turns up in a message, a traceback or a service's echo is replaced, in whatever form (`runner.text.secret_forms`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from runner.text.secret_forms import SecretForms

HIDDEN = "[redacted]"

_SHORTEST_SECRET = 6
_SHORTEST_PART = 12
_PART = re.compile(r"[A-Za-z0-9_:-]*\d[A-Za-z0-9_:-]*")
"""A part of a secret URL that is a secret by itself: a token, not a host or a word."""
_QUERY = re.compile(rb"(:\\?/\\?/[^\s?#\"'<>]+?)(\?|\\u003[fF])[^\s\"'<>]+")
"""The query of a URL in a body."""
_OUTSIDE_URLS = re.compile(rb"[\s\"'<>]")
_LONGEST_URL = 2**16
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


class Redactor:
    """Replaces registered secrets, and anything that looks like one, by `[redacted]` or `…`."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._forms = SecretForms(())

    def register(self, secret: str) -> None:
        """Hide this value from now on. Fewer than 6 characters are not taken for a secret."""
        if len(secret) >= _SHORTEST_SECRET and secret not in self._secrets:
            self._secrets.add(secret)
            self._forms = SecretForms(self._secrets)

    def register_url(self, url: str) -> None:
        """Hide this URL from now on, and what in it may be a token, wherever it stands alone."""
        self.register(url)
        for part in re.split(r"[/@?&=]", url.partition("://")[2]):
            if len(part) >= _SHORTEST_PART and _PART.fullmatch(part):
                self.register(part)

    def register_variables(self, environ: Mapping[str, str]) -> None:
        """Hide the value of every variable whose name ends in `_API_KEY`, whichever of them is used later.

        Words are left: servers of one's own want some key, and get `local` or `dragon`, which pictures may show.
        """
        for name, value in environ.items():
            if name.upper().endswith("_API_KEY") and len(value) >= _SHORTEST_PART and not value.isalpha():
                self.register(value)

    def keys(self, text: str) -> str:
        """The text with registered secrets replaced, otherwise verbatim."""
        return self._forms.replace(text, HIDDEN)

    def body_pieces(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """A body as it may be kept: registered secrets replaced, the queries of URLs cut, otherwise verbatim."""
        return _without_queries(self._without_keys(pieces))

    def _without_keys(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Without secrets, wherever the pieces are cut."""
        held, tail = self._forms.longest, ""
        for piece in pieces:
            text = self.keys(tail + piece.decode("latin-1"))
            cut = max(0, len(text) - held)
            tail = text[cut:]
            yield text[:cut].encode("latin-1")
        yield tail.encode("latin-1")

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


def _without_queries(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Links to paid images are signed, and open to whoever has them. Pieces are held until they end outside a URL."""
    held = bytearray()
    for piece in pieces:
        held += piece
        ends = max((match.start() for match in _OUTSIDE_URLS.finditer(piece)), default=None)
        if ends is not None or len(held) > _LONGEST_URL:
            cut = len(held) if ends is None else len(held) - len(piece) + ends
            yield _QUERY.sub(rb"\1?...", bytes(held[:cut]))
            del held[:cut]
    yield _QUERY.sub(rb"\1?...", bytes(held))


REDACTOR = Redactor()
"""The one that everything shares."""
