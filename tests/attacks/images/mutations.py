"""Ways to break a file: blindly, and so that the break is not seen at once."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

from tests.support.images import PNG_SIGNATURE, chunk

_ODD = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TOKENS = (
    *(b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xff\xe1\0\x08Exif\0\0", b"MPF\0"),
    *(b"IHDR", b"IDAT", b"IEND", b"PLTE", b"acTL", b"fcTL", b"fdAT", b"ANMF", b"VP8X", b"VP8L", b"ALPH"),
    *(
        b";",
        b",",
        b"!\xf9\4",
        b"\0" * 40,
        b"<!--",
        b"-->",
        b"<svg>",
        b"</svg>",
        b"<!ENTITY a '&a;'>",
        b"&a;",
        b"<![CDATA[",
    ),
)
Mutation = Callable[[bytes, random.Random], bytes]


def _place(data: bytes, chance: random.Random) -> int:
    """Anywhere, and often where a file says what it is."""
    return chance.randrange(min(len(data), 64 if chance.random() < 0.4 else len(data))) if data else 0


def _bits(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if changed:
            changed[_place(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _noise(data: bytes, chance: random.Random) -> bytes:
    at, size = _place(data, chance), chance.choice((1, 2, 4, 16, 200))
    return data[:at] + chance.randbytes(size) + data[at + size :]


def _number(data: bytes, chance: random.Random) -> bytes:
    """Another size, offset or count, in either order of bytes."""
    at, size = _place(data, chance), chance.choice((1, 2, 4))
    value: int = chance.choice(_ODD) % 2 ** (8 * size)
    number = value.to_bytes(size, "big" if chance.random() < 0.5 else "little")
    return data[:at] + number + data[at + size :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    at = _place(data, chance)
    return data[:at] if chance.random() < 0.5 else data[:at] + data[at + chance.choice((1, 5, 100)) :]


def _again(data: bytes, chance: random.Random) -> bytes:
    at, size = _place(data, chance), chance.choice((1, 8, 60, 500))
    return data[:at] + data[at : at + size] * chance.choice((2, 3, 50)) + data[at + size :]


def _token(data: bytes, chance: random.Random) -> bytes:
    at, token = _place(data, chance), chance.choice(_TOKENS)
    return data[:at] + token * chance.choice((1, 1, 30)) + data[at + chance.choice((0, len(token))) :]


_MUTATIONS: tuple[Mutation, ...] = (_bits, _noise, _number, _cut, _again, _token)


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The file, broken in one to four ways; sometimes it goes on as another one."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        data = chance.choice(_MUTATIONS)(data, chance)
    if chance.random() < 0.05:
        other = chance.choice(others)
        data = data[: _place(data, chance)] + other[_place(other, chance) :]
    return _mended(data, chance) if data.startswith(PNG_SIGNATURE) and chance.random() < 0.8 else data


def repacked(data: bytes, chance: random.Random) -> bytes:
    """A PNG whose rows are changed as they are stored, and packed again."""
    at, parts, packed = len(PNG_SIGNATURE), [PNG_SIGNATURE], b""
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        elif kind == b"IEND":
            rows = zlib.decompress(packed)
            parts.append(chunk(b"IDAT", zlib.compress(chance.choice(_MUTATIONS)(rows, chance))))
        if kind != b"IDAT":
            parts.append(data[at : at + 12 + size])
        at += 12 + size
    return b"".join(parts)


def _mended(data: bytes, chance: random.Random) -> bytes:
    """A PNG with the right checksums, and sometimes with other pixels, packed well."""
    parts, at = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + size]
        if kind == b"IDAT" and chance.random() < 0.2:
            content = zlib.compress(chance.randbytes(chance.randrange(900)))
        parts.append(struct.pack(">I", len(content)) + kind + content)
        parts.append(zlib.crc32(kind + content).to_bytes(4, "big"))
        at += 12 + size
    return b"".join(parts)
