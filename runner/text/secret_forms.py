"""The forms in which a service may send a secret back: as JSON, URLs and HTML write it, in hex, in base64, over lines."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

_SHORTEST_BASE64 = 12
_BREAK = r"(?:(?:\\[rn]|[\r\n])[ \t]*)"
_BREAKS = re.compile(_BREAK + "+")
_ESCAPES = re.compile(
    r"%([0-9A-Fa-f]{2})|\\u00([0-9A-Fa-f]{2})|&#[xX]0*([0-9A-Fa-f]{2});|&#0*([0-9]{2,3});|\\([/\"\\])"
)


class SecretForms:
    """Some secrets, found in whatever form. secrets: without those that are too short to be one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = set(secrets)
        written = {form for secret in known for form in (*_written(secret), *_base64_forms(secret))}
        self._written = sorted(written, key=len, reverse=True)
        self._hex = [secret.encode("utf-8", "surrogatepass").hex() for secret in known]
        self._patterns: dict[str, re.Pattern[str]] = {}
        self.longest = 12 * max(map(len, (*self._written, *self._hex)), default=0)
        """Characters of the longest that is looked for, however it is written."""

    def replace(self, text: str, by: str) -> str:
        """The text with every secret replaced."""
        for form in self._found(text):
            text = self._pattern(form).sub(lambda _: by, text)
        return text

    def _found(self, text: str) -> list[str]:
        """The forms that are in the text. Nearly no text has one, and the patterns take a hundred times as long."""
        if not self._written:
            return []
        view = _ESCAPES.sub(_unescaped, _BREAKS.sub("", text))
        lower = view.lower()
        found = [form for form in self._written if form in text or form in view]
        return found + [form for form in self._hex if form in lower]

    def _pattern(self, form: str) -> re.Pattern[str]:
        if form not in self._patterns:
            self._patterns[form] = re.compile((_BREAK + "*").join(map(_character, form)))
        return self._patterns[form]


def _written(secret: str) -> Iterator[str]:
    yield secret
    yield secret.encode("utf-8", "surrogatepass").decode("latin-1")
    yield quote(secret, safe="", errors="replace")
    yield quote_plus(secret, errors="replace")
    yield json.dumps(secret)[1:-1]


def _unescaped(match: re.Match[str]) -> str:
    quoted, unicode, html_hex, html, plain = match.groups()
    if plain is not None:
        return plain
    return chr(int(html)) if html is not None else chr(int(quoted or unicode or html_hex, 16))


def _character(character: str) -> str:
    """A pattern for one character, however it is written."""
    code = ord(character)
    digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{code:02x}")
    if code > 0xFF:
        return re.escape(character)
    either = f"[{character}{character.upper()}]" if character in "abcdef" else re.escape(character)
    escaped = rf"|\\{re.escape(character)}" if character in '/"\\' else ""
    return rf"(?:{either}|%{digits}|\\u00{digits}|&#0*{code};|&#[xX]0*{digits};{escaped})"


def _base64_forms(secret: str) -> Iterator[str]:
    """In base64, at each of its three alignments without the digits that neighbours share; once, and twice."""
    raw = secret.encode("utf-8", "surrogatepass")
    once = {base64.b64encode(raw).decode(), *_aligned(raw)}
    twice = {
        form
        for inner in once
        for form in (base64.b64encode(inner.encode()).decode(), *_aligned(inner.encode()))
    }
    for form in once | twice:
        if len(form) >= _SHORTEST_BASE64:
            yield form
            yield form.translate(str.maketrans("+/", "-_"))


def _aligned(raw: bytes) -> Iterator[str]:
    for shift in range(3):
        digits = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        yield digits[(0, 2, 3)[shift] : len(digits) - bool((shift + len(raw)) % 3)]
