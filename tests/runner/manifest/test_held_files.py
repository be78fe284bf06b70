"""A manifest's files as a run began with them: from memory, by a descriptor, or with a word that they have changed."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from runner.manifest.held_files import HELD_BYTES, PINNED_FILES, HeldFiles
from runner.manifest.open import open_manifest
from runner.manifest.records import Manifest, ManifestError
from runner.manifest.sources import local_source
from tests.support.manifest_readback import read_back
from tests.support.odd_manifests.parquets import parquet

LONG = "x" * (HELD_BYTES // 50)


def csv(word: str, *, large: bool) -> bytes:
    rows = "".join(f"{i},{word} {i},{i}{LONG if large else ''}\n" for i in range(100))
    return f"id,prompt,note\n{rows}".encode()


def parquet_of(word: str, *, large: bool) -> bytes:
    notes = pa.array([f"{i}{LONG if large else ''}" for i in range(100)])
    columns = {"prompt": pa.array([f"{word} {i}" for i in range(100)]), "note": notes}
    return parquet(columns, compression="none", use_dictionary=False, row_group_size=10)


def held(path: Path) -> Manifest:
    return open_manifest(path, held=HeldFiles())


FORMS: list[tuple[str, Callable[..., bytes]]] = [("p.csv", csv), ("p.parquet", parquet_of)]


@pytest.mark.parametrize("large", [False, True], ids=["in memory", "by a descriptor"])
@pytest.mark.parametrize(("name", "content"), FORMS, ids=["csv", "parquet"])
def test_a_file_that_is_moved_or_replaced_is_read_as_it_was(
    name: str, content: Callable[..., bytes], large: bool, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content("fox", large=large))
    manifest = held(path)
    assert manifest.changed() is None
    first = next(manifest.batches())
    path.rename(tmp_path / "moved")
    assert manifest.changed() == f"{name} was moved or removed"
    path.write_bytes(content("dog", large=large))
    assert manifest.changed() == f"{name} was replaced"
    (tmp_path / "moved").unlink()
    found = read_back(manifest)
    assert found.prompts == [f"fox {i}" for i in range(100)]
    assert first.extras().column("note").to_pylist() == found.extras["note"][: len(first)]


@pytest.mark.parametrize(("name", "content"), FORMS, ids=["csv", "parquet"])
def test_a_small_file_that_is_written_to_is_read_as_it_was(
    name: str, content: Callable[..., bytes], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content("fox", large=False))
    manifest = held(path)
    path.write_bytes(b"")
    assert manifest.changed() == f"{name} was written to"
    assert read_back(manifest).prompts == [f"fox {i}" for i in range(100)]


@pytest.mark.parametrize(("name", "content"), FORMS, ids=["csv", "parquet"])
@pytest.mark.parametrize("becomes", [b"", b"id,prompt,note\n", None], ids=["empty", "a header", "other rows"])
def test_a_large_file_that_is_written_to_gives_no_row_of_the_new_text(
    name: str, content: Callable[..., bytes], becomes: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content("fox", large=True))
    manifest = held(path)
    batches = manifest.batches()
    first = next(batches)
    assert first.roles["prompt"][:2] == ["fox 0", "fox 1"]
    path.write_bytes(content("dog", large=True) if becomes is None else becomes)
    with pytest.raises(ManifestError, match=f"{name} was written to while it was read"):
        for batch in batches:
            assert "dog" not in str(batch.roles)
    with pytest.raises(ManifestError):
        read_back(manifest)


def test_columns_that_are_asked_for_late_are_not_of_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    path.write_bytes(parquet_of("fox", large=True))
    *_, last = held(path).batches()
    path.write_bytes(parquet_of("dog", large=True))
    with pytest.raises(ManifestError, match="was written to while it was read"):
        last.texts()
    with pytest.raises(ManifestError, match="was written to while it was read"):
        last.extras()


def test_memory_is_for_so_many_bytes_in_all(tmp_path: Path) -> None:
    """Of files that are small each, the later ones are read by descriptors, and those beyond that tell that they changed."""
    files = HeldFiles()
    names = [tmp_path / f"{i}.txt" for i in range(PINNED_FILES + 40)]
    for path in names:
        path.write_bytes(b"fox" + b"x" * (HELD_BYTES // 30))
    sources = [files.hold(local_source(path, path.name)) for path in names]
    for path in names:
        path.unlink()
        path.write_bytes(b"dog")
    starts = [source.stream().read(3) for source in sources]
    assert starts == [b"fox"] * (29 + PINNED_FILES) + [b"dog"] * 11
    with pytest.raises(ManifestError, match="was written to"):
        sources[-1].check()
    change = files.changed()
    assert change is not None and change.startswith("0.txt was ")
    assert change.endswith(f" (and {len(names) - 1} more)")


def test_descriptors_are_closed_with_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(csv("fox", large=True))

    def descriptors() -> int:
        links = [Path("/proc/self/fd", number) for number in os.listdir("/proc/self/fd")]
        return sum(link.exists() and link.samefile(path) for link in links)

    manifest = held(path)
    assert descriptors() == 1
    del manifest
    gc.collect()
    assert descriptors() == 0


def test_a_folder_is_held_file_by_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"fox {name}")
    manifest = held(tmp_path)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.txt").write_text("dog b")
    assert read_back(manifest).prompts == ["fox a", "fox b"]
    assert manifest.changed() == "a.txt was moved or removed (and 1 more)"
