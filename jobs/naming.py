"""Names of files below OUT: made by us from numbers and a safe slug, never taken from a manifest or a server."""

from __future__ import annotations

import re
import unicodedata

_UNSAFE = re.compile(r"[^a-z0-9]+")
_SLUG_CHARS = 40
PER_FOLDER = 1000
"""Attempts whose images share a folder."""

EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp", "gif": "gif", "svg": "svg"}
"""Format as read from the bytes -> file name ending."""


def slug(text: str) -> str:
    """Lower-case letters and digits joined by hyphens, at most 40 characters; may be empty."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return _UNSAFE.sub("-", text.lower()).strip("-")[:_SLUG_CHARS].strip("-")


def image_folder(attempt: int) -> str:
    """`images/0012`: where the images of this attempt go, with those of 999 others."""
    return f"images/{attempt // PER_FOLDER:04d}"


def image_name(attempt: int, index: int, row_id: str, image_format: str) -> str:
    """`images/0000/fox-forest-12-0.png`: unique by attempt number and index, readable by the row's id."""
    stem = "-".join(part for part in (slug(row_id), str(attempt), str(index)) if part)
    return f"{image_folder(attempt)}/{stem}.{EXTENSIONS[image_format]}"


def quarantine_name(attempt: int, row_id: str) -> str:
    """`quarantine/fox-forest-12.body`: a paid answer that could not be used, verbatim."""
    return f"quarantine/{'-'.join(part for part in (slug(row_id), str(attempt)) if part)}.body"
