"""Broken images through the check: each is an image that decodes, or none, within its time, and nothing else happens."""

from __future__ import annotations

import io
import random
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from runner.artifacts.check_process import CPU_S, CheckProcess
from runner.artifacts.image_checks import PATIENCE_NS, ImageInfo, SlowCheck, inspect_image
from schemas.artifacts import Check, NotAnImage
from tests.attacks.images.mutations import mutated, repacked
from tests.attacks.images.seeds import Seed, seeds
from tests.support.images import PNG_SIGNATURE

CHECK = Check(64_000_000)
_RANDOM_SHARE, _REPACKED_SHARE = 0.02, 0.4
_LARGEST_RANDOM = 4000


@dataclass
class Report:
    """What became of the mutants. violations: what may not happen, with the number that makes the mutant again."""

    verdicts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: int = 0
    strict: Counter[str] = field(default_factory=Counter)
    """Why something is refused that Pillow decodes."""


def mutant(seed: int, number: int, files: list[Seed]) -> tuple[bytes, str | None]:
    """The mutant of this number, and the format that was asked for."""
    chance = random.Random(f"{seed}/{number}")
    asked = "svg" if chance.random() < 0.3 else None
    if chance.random() < _RANDOM_SHARE:
        return chance.randbytes(chance.randrange(_LARGEST_RANDOM)), asked
    kinds = sorted({file.kind for file in files})
    kind = chance.choice(kinds)
    of_kind = [file.data for file in files if file.kind == kind]
    whole = chance.choice(of_kind)
    if kind == "png" and chance.random() < _REPACKED_SHARE:
        return repacked(whole, chance), asked
    data = mutated(whole, [file.data for file in files], chance)
    return data, "svg" if kind == "svg" else asked


def run(mutants: int, *, seed: int = 1, slow: int = 100) -> Report:
    """Look at so many. slow: how many of those that may take long are given a process; the others are counted."""
    report, files = Report(), seeds()
    for number in range(mutants):
        data, asked = mutant(seed, number, files)
        started = time.thread_time()
        try:
            info = inspect_image(data, asked_format=asked, check=CHECK, patience_ns=PATIENCE_NS)
        except NotAnImage as problem:
            report.verdicts["no image"] += 1
            if pillow_decodes(data):
                report.strict[str(problem)[:60]] += 1
        except SlowCheck:
            report.verdicts["may take long"] += 1
            if report.verdicts["in a process"] < slow:
                report.verdicts["in a process"] += 1
                report.violations += _in_a_process(data, asked, number)
        except Exception as error:  # noqa: BLE001 - that is what it looks for
            report.violations.append(f"mutant {number}: {type(error).__name__}: {error}")
        else:
            report.verdicts[info.format] += 1
            report.violations += _undecoded(data, info, number)
        spent_s = time.thread_time() - started
        if spent_s > report.slowest_s:
            report.slowest_s, report.slowest = spent_s, number
        if spent_s > CPU_S:
            report.violations.append(f"mutant {number}: {spent_s:.1f} s of CPU")
    return report


def _in_a_process(data: bytes, asked: str | None, number: int) -> Iterator[str]:
    try:
        CheckProcess().inspect(data, asked_format=asked, check=CHECK)
    except NotAnImage:
        return
    except Exception as error:  # noqa: BLE001 - that is what it looks for
        yield f"mutant {number}, in a process: {type(error).__name__}: {error}"


def _undecoded(data: bytes, info: ImageInfo, number: int) -> Iterator[str]:
    """What passes is decoded by Pillow too; of a PNG, what counts for its pixels."""
    if info.format != "svg" and not pillow_decodes(_bare(data) if info.format == "png" else data):
        yield f"mutant {number}: {info} does not decode"


def pillow_decodes(data: bytes) -> bool:
    """Whether Pillow makes a picture of it, the first frame at least."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF", "MPO")) as image:
            if image.size[0] * image.size[1] > CHECK.max_pixels:
                return False
            image.load()
    except Exception:  # noqa: BLE001 - Pillow raises what it likes
        return False
    return True


def _bare(data: bytes) -> bytes:
    """A PNG's header, palette and pixels alone. Pillow refuses some files for what is wrong beside them."""
    parts, at, kind = [PNG_SIGNATURE], len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            parts.append(data[at : at + 12 + size])
        at += 12 + size
    return b"".join(parts)
