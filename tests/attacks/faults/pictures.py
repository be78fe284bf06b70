"""Pictures, good and bad. Deterministic from the prompt, so that a test can tell whose picture a file holds."""

from __future__ import annotations

import functools
import hashlib
import io
import struct
import zlib

from PIL import Image

PLAIN_SIZE = (64, 48)
_BLOCK = 2**20


def picture(prompt: str, index: int = 0, *, size: tuple[int, int] | None = None, form: str = "PNG") -> bytes:
    """A noisy picture that differs for every (prompt, index). form: PNG, JPEG, WEBP, GIF or TIFF."""
    seed = hashlib.sha256(f"{prompt}\0{index}".encode("utf-8", "surrogatepass")).digest()
    noise = hashlib.shake_256(seed).digest(PLAIN_SIZE[0] * PLAIN_SIZE[1] * 3)
    image = Image.frombytes("RGB", PLAIN_SIZE, noise)
    if size and size != PLAIN_SIZE:
        image = image.resize(size, Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int, packed: bytes, *, before: bytes = b"") -> bytes:
    """A one-bit grey PNG with ready compressed rows. before: whole chunks to put before IDAT."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + before + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    )


def _packed_zeros(length: int) -> bytes:
    """So many zeros as zlib packs them, at once: a flushed block stands alone, so that it can be repeated."""
    whole, rest = divmod(length, _BLOCK)
    packer, last = zlib.compressobj(9, wbits=-15), zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    adler = (length % 65521) << 16 | 1
    return b"\x78\xda" + block * whole + last.compress(bytes(rest)) + last.flush() + adler.to_bytes(4, "big")


def svg(prompt: str) -> bytes:
    """A drawing that names its prompt."""
    name = hashlib.sha256(prompt.encode()).hexdigest()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><title>{name}</title></svg>'.encode()
    )


@functools.cache
def pixel_bomb() -> bytes:
    """A valid PNG of 50,000 x 50,000 pixels in about 300 kB."""
    return png_of(50_000, 50_000, _packed_zeros(50_000 * (1 + 50_000 // 8)))


@functools.cache
def text_bomb() -> bytes:
    """A valid 8 x 8 PNG whose comment inflates to 200 MB."""
    comment = _chunk(b"zTXt", b"Comment\0\0" + _packed_zeros(200 * 2**20))
    return png_of(8, 8, _packed_zeros(16), before=comment)


def bad_crc(data: bytes) -> bytes:
    """A PNG whose image data no longer match their checksum."""
    at = data.index(b"IDAT") + 40
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def without_end(data: bytes) -> bytes:
    """A PNG that lacks its IEND chunk."""
    return data[:-12]


def cut(data: bytes, share: float = 0.6) -> bytes:
    """The first part of a file."""
    return data[: int(len(data) * share)]


HTML = b"<!DOCTYPE html><html><body><h1>Link expired</h1></body></html>"
