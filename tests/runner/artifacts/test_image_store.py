"""Images saved below OUT: each under a name of its own, byte for byte, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from runner.artifacts.atomic_files import Folder
from runner.artifacts.image_checks import ImageInfo, SlowCheck
from runner.artifacts.image_store import ImageStore, ToSave
from schemas.artifacts import Check, Label, NotAnImage, RequestedFormat
from schemas.outcome import SavedImage
from schemas.request import ImageRequest
from tests.attacks.faults.pictures import HTML, picture

CHECK = Check(64_000_000)
FORMS = ["PNG", "JPEG", "WEBP", "GIF"]


def asked(**fields: object) -> RequestedFormat:
    """A request with these fields."""
    return RequestedFormat.of_request(ImageRequest("a fox", tuple(fields.items())))


@pytest.mark.parametrize("form", FORMS)
def test_a_saved_image_is_on_disk_byte_for_byte_with_its_digest(tmp_path: Path, form: str) -> None:
    data = picture("fox", form=form)
    store = ImageStore(Folder(tmp_path), CHECK)
    saved = store.save(ToSave((data,), asked(size="64x48", output_format="png"), Label(1234, 2, "fox-1")))
    ending = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}[form]
    digest = hashlib.sha256(data).hexdigest()
    flags = () if form == "PNG" else ("format_mismatch",)
    name = f"images/0001/fox-1-1234-2.{ending}"
    assert saved == SavedImage(2, name, form.lower(), 64, 48, len(data), digest, None, flags)
    assert (tmp_path / name).read_bytes() == data


def test_nothing_is_on_disk_for_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(NotAnImage):
        ImageStore(Folder(tmp_path), CHECK).save(ToSave((HTML,), asked(), Label(1, 0, "x")))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_of_somebody_elses_is_left_alone_and_the_image_gets_a_name_like_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.save("images/0000/x-1-0.png", (b"somebody else's",))
    saved = ImageStore(folder, CHECK).save(ToSave((picture("fox"),), asked(), Label(1, 0, "x")))
    assert (tmp_path / "images/0000/x-1-0.png").read_bytes() == b"somebody else's"
    assert saved.file_name.startswith("images/0000/x-1-0-")
    assert (tmp_path / saved.file_name).read_bytes() == picture("fox")


def test_what_takes_long_to_check_is_told_and_saved_once_somebody_has_checked_it(tmp_path: Path) -> None:
    store = ImageStore(Folder(tmp_path), CHECK, lambda: 0)
    order = ToSave((picture("fox"),), asked(), Label(1, 0, "x"))
    with pytest.raises(SlowCheck) as slow:
        store.save(order)
    ends = store.save_all([order, order._replace(label=Label(2, 0, "x"))])
    assert [type(each) for each in ends] == [SlowCheck, SlowCheck]
    assert slow.value.info == ImageInfo("png", 64, 48)
    saved = store.save(order._replace(info=ImageInfo("png", 64, 48, ("blank_image",))))
    assert (saved.format, saved.flags) == ("png", ("blank_image",))
    assert (tmp_path / saved.file_name).read_bytes() == picture("fox")
