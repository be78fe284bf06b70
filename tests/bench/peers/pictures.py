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


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + os.urandom(width * 3) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines, 0)), chunk(b"IEND", b""))
    )


def _answer(picture: bytes) -> bytes:
    details = {"image_tokens": 0, "text_tokens": 50}
    usage = {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210, "input_tokens_details": details}
    data = [{"b64_json": base64.b64encode(picture).decode()}]
    document = {"created": 1760000000, "background": "opaque", "data": data, "output_format": "png"}
    return json.dumps({**document, "quality": "high", "size": "1024x1024", "usage": usage}, indent=2).encode()


def write(folder: Path) -> None:
    """`KIND.N.png` and `KIND.N.json` for every kind and number."""
    for kind, (width, height) in SIZES.items():
        for number in range(PICTURES):
            picture = _png(width, height)
            (folder / f"{kind}.{number}.png").write_bytes(picture)
            (folder / f"{kind}.{number}.json").write_bytes(_answer(picture))


def digest(path: Path) -> str:
    """md5 of a file."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def wrong(folder: Path, kind: str, saved: Iterable[tuple[int, Path]]) -> list[int]:
    """Numbers of prompts whose saved file is not the picture that was sent for it."""
    expected = [digest(folder / f"{kind}.{number}.png") for number in range(PICTURES)]
    return [number for number, path in saved if digest(path) != expected[number % PICTURES]]
