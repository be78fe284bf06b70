"""Names that people give to secrets: what stands under one of them is kept in no file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

NOT_KEPT = "(a secret, not kept)"
"""What stands in files in place of such a value."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_WORDS = frozenset(
    {
        *(
            "password",
            "passwd",
            "passphrase",
            "pwd",
            "secret",
            "token",
            "apikey",
            "credential",
            "credentials",
        ),
        *("authorization", "auth", "bearer", "accesskey", "privatekey", "signature", "sig"),
    }
)
_BEFORE_KEY = frozenset(
    {"api", "access", "private", "auth", "secret", "account", "license", "signing", "subscription"}
)
_OF_SOMETHING_ELSE = frozenset({"type", "name", "count", "limit", "length", "url", "uri", "mode", "format"})
"""A name that ends so is not of the secret: `token_type`, `auth_mode`."""
_OPTION = re.compile(
    r"(?i)(?:^|[\s;&|('\"])--?(?:[\w-]+-)?(?:passw(?:or)?d|passphrase|pwd|token|api-?key|client-secret|secret-key|access-key)"
    r"[=\s]+[^\s-]"
)
"""An option whose value is a secret. `--secret-id` and `--token-file` name one."""
_LOGIN = re.compile(r"(?:^|\s)-\w*u\s*[^\s:]+:\S+|://[^/\s:@]+:[^/\s@]+@")


@lru_cache(1024)
def names_secret(name: str) -> bool:
    """Whether a field, option or variable of this name holds a secret: `access_token`, `apiKey`, `X-Auth-Key`, `key`."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _OF_SOMETHING_ELSE:
        return False
    if words == ["key"] or not _WORDS.isdisjoint(words):
        return True
    return any(second == "key" and first in _BEFORE_KEY for first, second in pairwise(words))


def without_secrets(value: Any, name: str = "") -> Any:
    """The same with `NOT_KEPT` in place of each text that stands under the name of a secret, at any depth."""
    if isinstance(value, Mapping):
        return {key: without_secrets(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(item, name) for item in value]
    return NOT_KEPT if isinstance(value, str) and names_secret(name) else value


def secret_texts(value: Any, name: str = "") -> Iterator[str]:
    """Each of these texts."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from secret_texts(item, str(key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secret_texts(item, name)
    elif isinstance(value, str) and names_secret(name):
        yield value


def commands_secret(command: str) -> bool:
    """Whether a secret seems to stand in a command line: `vault --password x`, `curl -u admin:x`."""
    return _OPTION.search(command) is not None or _LOGIN.search(command) is not None
