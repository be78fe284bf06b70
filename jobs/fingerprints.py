"""What tells one manifest row from another: hashes of its id, prompt and own fields."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np

_LENGTH = struct.Struct("<Q").pack


def flat(fields: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Names and values, one after the other."""
    return (part for item in fields for part in item)


def digest_of(parts: tuple[str, ...]) -> bytes:
    """16 bytes over the parts, each with its length before it, so that no two lists of parts look alike."""
    pieces = []
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        pieces.append(_LENGTH(len(encoded)))
        pieces.append(encoded)
    return blake2b(b"".join(pieces), digest_size=16).digest()


def keys(digests: Iterable[bytes]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Two numbers of each digest."""
    return np.frombuffer(b"".join(digests), dtype="<u8")


def fingerprint(row_id: str, prompt: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    """Of a row with this id and prompt that sets these fields itself."""
    return digest_of((row_id, prompt, *flat(fields)))
