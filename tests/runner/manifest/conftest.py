"""Manifests written by tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.manifest.open import open_manifest
from tests.support.manifest_readback import Found, read_back

Reader = Callable[..., Found]


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Manifests of a hundred megabytes, or that cannot be read, are not left in pytest's folder."""
    yield
    shutil.rmtree(tmp_path)


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """`read(name, content, **options)` writes a manifest and gives back its records."""

    def written_and_read(
        name: str, content: bytes, prompt_col: str | None = None, id_col: str | None = None
    ) -> Found:
        path = tmp_path / name
        path.write_bytes(content)
        return read_back(open_manifest(path, prompt_col=prompt_col, id_col=id_col))

    return written_and_read
