"""Whole images of every kind that is kept, to be broken."""

from __future__ import annotations

import random
import zlib
from typing import NamedTuple

from tests.attacks.faults.pictures import svg
from tests.support.images import (
    DEPTHS,
    SAMPLES,
    chunk,
    drawn,
    header,
    jpeg_of_scans,
    moving,
    mpo,
    passes,
    plain,
    png,
)

_DOCUMENT = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- by hand -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x" [\n'
    b'<!ENTITY ns "http://www.w3.org/2000/svg">\n]>\n<svg xmlns="&ns;"><g fill="red"><path d="M0 0L9 9"/></g></svg>\n'
)


class Seed(NamedTuple):
    """A whole image. kind: png, jpeg, webp, gif or svg."""

    kind: str
    data: bytes


def _png(depth: int, colour: int, *, interlaced: bool, chance: random.Random) -> bytes:
    rows = b"".join(
        bytes([row % 5]) + chance.randbytes(-(-across * depth * SAMPLES[colour] // 8))
        for across, count in passes(19, 13, interlaced=interlaced)
        for row in range(count)
    )
    packed = zlib.compress(rows)
    head = header(19, 13, depth, colour, interlaced=interlaced)
    before = chunk(b"gAMA", bytes(4)) + (chunk(b"PLTE", bytes(768)) if colour == 3 else b"")
    return png(head, [packed[:30], packed[30:]], before=before, after=chunk(b"tEXt", b"a\0b"))


def seeds() -> list[Seed]:
    """All of them, the same each time."""
    chance = random.Random(1)
    pngs = [
        _png(depth, colour, interlaced=interlaced, chance=chance)
        for colour, depths in DEPTHS.items()
        for depth in depths
        for interlaced in (False, True)
    ]
    pngs += [drawn("PNG", size=(200, 150)), plain("PNG"), moving("PNG")]
    jpegs = [drawn("JPEG", mode, (90, 61)) for mode in ("RGB", "L", "CMYK")]
    jpegs += [drawn("JPEG", size=(90, 61), progressive=True), drawn("JPEG", restart_marker_rows=1)]
    jpegs += [mpo(), plain("JPEG"), jpeg_of_scans(64, 50)]
    webps = [
        drawn("WEBP", size=(50, 31), **more) for more in ({}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"})
    ]
    webps += [drawn("WEBP", "RGBA"), moving("WEBP"), plain("WEBP")]
    gifs = [drawn("GIF"), plain("GIF"), moving("GIF"), moving("GIF", 5, disposal=2, comment=b"by hand")]
    svgs = [svg("fox"), _DOCUMENT]
    kinds = {"png": pngs, "jpeg": jpegs, "webp": webps, "gif": gifs, "svg": svgs}
    return [Seed(kind, data) for kind, files in kinds.items() for data in files]
