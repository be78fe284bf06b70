"""What the load server serves: distinct valid PNGs that do not compress, and the answers with them in base64."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

PICTURES = 16
BIG, SMALL = "big", "small"
SIZES = {BIG: (720, 700), SMALL: (80, 64)}
"""1.5 MB and 15 KB of PNG; 2.0 MB and 20 KB of answer."""
PHOTO_SIZES = {BIG: (1024, 920), SMALL: (100, 90)}
"""The same of pictures that compress as photographs do, to half of their pixels."""
_NOISE = bytes(byte & 15 for byte in range(256))


def _png(width: int, height: int, *, photo: bool) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    noise = (os.urandom(width * 3) for _ in range(height))
    lines = b"".join(b"\1" + row.translate(_NOISE) if photo else b"\0" + row for row in noise)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines, 6 * photo)), chunk(b"IEND", b""))
    )


def _answer(picture: bytes) -> bytes:
    details = {"image_tokens": 0, "text_tokens": 50}
    usage = {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210, "input_tokens_details": details}
    data = [{"b64_json": base64.b64encode(picture).decode()}]
    document = {"created": 1760000000, "background": "opaque", "data": data, "output_format": "png"}
    return json.dumps({**document, "quality": "high", "size": "1024x1024", "usage": usage}, indent=2).encode()


def write(folder: Path, *, photos: bool = False) -> None:
    """`KIND.N.png` and `KIND.N.json` for every kind and number. photos: they are work to decode."""
    for kind, (width, height) in (PHOTO_SIZES if photos else SIZES).items():
        for number in range(PICTURES):
            picture = _png(width, height, photo=photos)
            (folder / f"{kind}.{number}.png").write_bytes(picture)
            (folder / f"{kind}.{number}.json").write_bytes(_answer(picture))


def digest(path: Path) -> str:
    """md5 of a file."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def wrong(folder: Path, kind: str, saved: Iterable[tuple[int, Path]]) -> list[int]:
    """Numbers of prompts whose saved file is not the picture that was sent for it."""
    expected = [digest(folder / f"{kind}.{number}.png") for number in range(PICTURES)]
    return [number for number, path in saved if digest(path) != expected[number % PICTURES]]
