"""Which characters a font file says that it has, read from files that are written here."""

from __future__ import annotations

import struct
from pathlib import Path

from runner.simulator.pictures.fonts import InstalledFonts


def font(form: int, ranges: list[tuple[int, int]], *, collection: bool = False) -> bytes:
    """A font file of one table, `cmap`, of this form (4 or 12), perhaps as the first of a collection."""
    if form == 4:
        starts, ends = zip(*ranges, (0xFFFF, 0xFFFF), strict=True)
        count = len(starts)
        part = struct.pack(">7H", 4, 16 + 8 * count, 0, 2 * count, 0, 0, 0)
        part += struct.pack(f">{count}HH{count}H", *ends, 0, *starts) + bytes(4 * count)
        encoding = 1
    else:
        part = struct.pack(">HHIII", 12, 0, 16 + 12 * len(ranges), 0, len(ranges))
        part += b"".join(struct.pack(">3I", first, last, 1) for first, last in ranges)
        encoding = 10
    table = struct.pack(">HHHHI", 0, 1, 3, encoding, 12) + part
    before = 16 if collection else 0
    head = struct.pack(">4sIII", b"ttcf", 0x10000, 1, 16) if collection else b""
    head += struct.pack(">4sH6x", b"\0\1\0\0", 1)
    return head + struct.pack(">4sIII", b"cmap", 0, before + 28, len(table)) + table


def has(folder: Path, name: str, letters: str) -> list[bool]:
    [file] = [font for font in InstalledFonts((folder,)) if font.path.name == name]
    return [file.has(letter) for letter in letters]


def test_the_ranges_of_either_form_of_table(tmp_path: Path) -> None:
    (tmp_path / "four.ttf").write_bytes(font(4, [(0x41, 0x5A), (0x4E00, 0x4E10)]))
    (tmp_path / "twelve.otf").write_bytes(font(12, [(0x1F600, 0x1F64F)]))
    (tmp_path / "several.ttc").write_bytes(font(12, [(0x61, 0x7A)], collection=True))
    assert has(tmp_path, "four.ttf", "AZa一丐丑") == [True, True, False, True, True, False]
    assert has(tmp_path, "twelve.otf", "😀A") == [True, False]
    assert has(tmp_path, "several.ttc", "azA") == [True, True, False]


def test_files_that_are_no_fonts_have_no_characters(tmp_path: Path) -> None:
    (tmp_path / "empty.ttf").write_bytes(b"")
    (tmp_path / "cut.ttf").write_bytes(font(12, [(0x41, 0x5A)])[:50])
    (tmp_path / "text.otf").write_bytes(b"no font at all, but long enough to look at")
    (tmp_path / "readme.txt").write_bytes(b"")
    fonts = list(InstalledFonts((tmp_path, tmp_path / "nothing")))
    assert sorted(font.path.name for font in fonts) == ["cut.ttf", "empty.ttf", "text.otf"]
    assert not any(font.has("A") for font in fonts)


def test_plain_fonts_come_first_and_fonts_of_boxes_never(tmp_path: Path) -> None:
    names = ("AaBold-Italic.ttf", "AaBold.ttf", "Zed-Regular.ttf", "DejaVuSans.ttf", "LastResort.otf")
    for name in names:
        (tmp_path / name).write_bytes(font(4, [(0x41, 0x5A)]))
    order = [font.path.name for font in InstalledFonts((tmp_path,))]
    assert order == ["DejaVuSans.ttf", "Zed-Regular.ttf", "AaBold.ttf", "AaBold-Italic.ttf"]
