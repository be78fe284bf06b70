"""The folder of an export: whole or absent, one export at a time, and nobody else's files touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.exports.destination import FILES, RECORD, UNFINISHED, Destination, locked
from schemas.errors import JobError


def destination(root: Path, *, copy: bool = False, **settings: str) -> Destination:
    return Destination(root, settings, copy=copy)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(b"12345")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    return tmp_path / "d"


def shown(root: Path) -> list[str]:
    """What a loader sees."""
    return sorted(
        path.relative_to(root).as_posix() for path in root.rglob("[!.]*") if UNFINISHED not in path.parts
    )


def test_an_image_is_linked_or_copied(root: Path, image: Path) -> None:
    for copy, name in ((False, "a.png"), (True, "b.png")):
        dest = destination(root, copy=copy)
        dest.start({"a.png", "b.png"})
        dest.place(image, 5, name)
        dest.finish()
        assert (dest.files, dest.bytes) == (1, 5)
        assert (root / name).samefile(image) == (not copy)
    assert (root / "b.png").read_bytes() == b"12345"
    assert (root / "b.png").stat().st_mtime_ns == image.stat().st_mtime_ns


def test_a_copy_that_is_there_is_left_as_it_is_and_another_file_is_replaced(root: Path, image: Path) -> None:
    for number in range(3):
        dest = destination(root, copy=True)
        dest.start({"a.png"})
        dest.place(image, 5, "a.png")
        dest.finish()
        inode = (root / "a.png").stat().st_ino
        if number == 0:
            first = inode
        if number == 1:
            assert inode == first
            (root / "a.png").write_bytes(b"torn")
    assert (root / "a.png").read_bytes() == b"12345"


def test_an_image_that_has_changed_is_not_taken(root: Path, image: Path) -> None:
    dest = destination(root)
    dest.start({"a.png"})
    with pytest.raises(JobError, match="has changed") as refused:
        dest.place(image, 6, "a.png")
    assert refused.value.exit_code == 7 and shown(root) == []


def test_a_file_that_was_not_finished_is_not_there(root: Path) -> None:
    dest = destination(root)
    dest.start({"x"})
    with pytest.raises(ZeroDivisionError), dest.new_file("x", "digest") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert shown(root) == [] and not dest.has_shard("x", "digest")


def test_a_shard_counts_while_its_rows_and_its_size_are_the_same(root: Path) -> None:
    dest = destination(root)
    dest.start({"x"})
    with dest.new_file("x", "one") as file:
        file.write(b"whole")
    again = destination(root)
    again.start({"x"})
    assert not again.has_shard("x", "two")
    assert again.has_shard("x", "one") and (again.files, again.bytes) == (1, 5)
    (root / "x").write_bytes(b"torn")
    assert not again.has_shard("x", "one")


def test_files_of_rows_that_are_gone_are_removed_and_others_are_not(root: Path, image: Path) -> None:
    for names in ({"a.png", "b.png"}, {"b.png"}):
        dest = destination(root)
        dest.start(names)
        for name in names:
            dest.place(image, 5, name)
        dest.finish()
        (root / "mine.txt").write_text("of the user")
    assert shown(root) == ["b.png", "mine.txt"]


def test_a_list_of_files_that_was_edited_leads_nowhere(root: Path, image: Path) -> None:
    dest = destination(root)
    dest.start(set())
    dest.finish()
    (root / FILES).write_text(f"../image.png\0{image}\0")
    destination(root).start(set())
    assert image.exists()


def test_a_folder_with_files_of_others_is_refused(root: Path) -> None:
    (root / "thesis.doc").touch()
    with pytest.raises(JobError, match=r"holds 'thesis.doc'") as refused:
        destination(root).start(set())
    assert refused.value.exit_code == 2 and os.listdir(root) == ["thesis.doc"]


def test_an_export_with_other_settings_is_refused_and_they_are_named(root: Path) -> None:
    destination(root, to="csv", split="a").start(set())
    with pytest.raises(JobError) as refused:
        destination(root, to="parquet", split="a").start(set())
    assert "(to: 'csv', now 'parquet')" in refused.value.message and refused.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": 3, "shards": {}}'])
def test_a_record_that_cannot_be_read_is_told(root: Path, text: str) -> None:
    (root / RECORD).write_text(text)
    with pytest.raises(JobError, match="cannot be read"):
        destination(root).start(set())


def test_links_are_not_followed_out_of_it(root: Path, image: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    dest = destination(root)
    dest.start({"train/a.png"})
    (root / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JobError, match="leads away"):
        dest.place(image, 5, "train/a.png")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_one_export_at_a_time(root: Path) -> None:
    with locked(root), pytest.raises(JobError, match="another export") as refused, locked(root):
        pass
    assert refused.value.exit_code == 6
    with locked(root):
        pass
