"""One picture as a value, and its file: PNG, JPEG, WebP or an odd one, in the exact size, the same bytes every time."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from runner.simulator.pictures.caption import write_caption
from runner.simulator.pictures.scene import draw_scene, ramp

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEFAULT_COMPRESSION = 90
_COLOUR_TYPES = {"RGB": 2, "RGBA": 6}


@dataclass(frozen=True, slots=True)
class Picture:
    """What decides every byte of an image file.

    index: from 0, of the `count` images of one request. format: png, jpeg, webp, gif, bmp or tiff.
    compression: 0 to 100, the encoder's quality; None means 90. transparent: real alpha around a rounded scene.
    grain: noise that makes the file as large as a real one: a PNG of 1024x1024 has 1.5 to 2.5 MB.
    """

    prompt: str
    seed: int
    index: int = 0
    count: int = 1
    width: int = 1024
    height: int = 1024
    format: str = "png"
    compression: int | None = None
    transparent: bool = False
    grain: bool = False


def digest(*parts: object) -> int:
    """128 bits that depend on the text of every part; lone surrogates are fine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), "big")


def draw(picture: Picture) -> bytes:
    """The image file of `picture`."""
    chance = Random(digest(picture.seed, picture.index, picture.prompt))
    size = picture.width, picture.height
    colours = ramp(chance)
    canvas = draw_scene(*size, chance)
    mark = f"{picture.index + 1}/{picture.count}" if picture.count > 1 else ""
    write_caption(canvas, picture.prompt, mark, _margin(*size) if picture.transparent else 0)
    canvas.putpalette(colours)
    image = canvas.convert("RGB")
    if picture.grain:
        image = _grained(image, chance)
    if picture.transparent:
        image.putalpha(_cutout(*size))
    return encode(image, picture.format, picture.compression)


def _grained(image: Image.Image, chance: Random) -> Image.Image:
    """`image` with noise of 20 to 44 levels in each channel, which is what its file is made of then."""
    spread = chance.randint(20, 44)
    levels = bytes(128 + level * spread // 256 - spread // 2 for level in range(256))
    pixels = image.width * image.height
    noise = [
        Image.frombytes("L", image.size, chance.randbytes(pixels).translate(levels)) for _ in image.getbands()
    ]
    return ImageChops.add(image, Image.merge(image.mode, noise), offset=-128)


def _margin(width: int, height: int) -> int:
    """Transparent pixels at each edge of a cut-out."""
    return max(1, round(min(width, height) * 0.05))


def _cutout(width: int, height: int) -> Image.Image:
    """Alpha of a card with round corners and a soft edge."""
    mask = Image.new("L", (width, height), 0)
    margin = _margin(width, height)
    box = (margin, margin, width - margin - 1, height - margin - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius=margin * 2, fill=255)
    return mask.filter(ImageFilter.BoxBlur(1))


def encode(image: Image.Image, kind: str, compression: int | None) -> bytes:
    """The file of `image`. compression: quality of JPEG and WebP, 0 to 100; None means 90."""
    if kind == "png":
        return _png(image)
    quality = DEFAULT_COMPRESSION if compression is None else compression
    buffer = BytesIO()
    plain = image if kind in {"webp", "tiff"} else image.convert("RGB")
    plain.save(buffer, kind, quality=quality, method=0)
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    """A PNG of unfiltered rows at the fastest level: a third of Pillow's time, and zlib lets other threads run."""
    stride = image.width * len(image.getbands())
    pixels = memoryview(image.tobytes())
    rows = b"".join(
        part for y in range(image.height) for part in (b"\0", pixels[y * stride : (y + 1) * stride])
    )
    head = struct.pack(">IIBBBBB", image.width, image.height, 8, _COLOUR_TYPES[image.mode], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(png_chunk(name, data) for name, data in chunks)


def png_chunk(name: bytes, data: bytes) -> bytes:
    """One PNG chunk: length, name, data, checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
