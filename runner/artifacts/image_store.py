"""Saves images: checked, named, durable under their final names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jobs.naming import image_name
from runner.artifacts.atomic_files import Buffer, Folder, save_unique
from runner.artifacts.batch_save import save_all
from runner.artifacts.image_checks import PATIENCE_NS, ImageInfo, SlowCheck, inspect_image, mismatch_flags
from runner.process.crash_points import crash_point
from schemas.artifacts import Check, Label, NotAnImage, RequestedFormat
from schemas.outcome import SavedImage


class _Checked(NamedTuple):
    """An image that may be saved."""

    data: bytes
    label: Label
    info: ImageInfo
    flags: tuple[str, ...]
    sha256: str

    @property
    def name(self) -> str:
        """Its file name, unless another file has it."""
        label = self.label
        return image_name(label.attempt, label.image, label.slug, self.info.format)

    def saved(self, name: str) -> SavedImage:
        """The image, saved under this name."""
        data, label, info, flags, digest = self
        return SavedImage(
            label.image, name, info.format, info.width, info.height, len(data), digest, flags=flags
        )


class ToSave(NamedTuple):
    """An image to be saved, in pieces, and what is known of it. info: what its check said, where it has been made."""

    pieces: Sequence[Buffer]
    requested: RequestedFormat
    label: Label
    info: ImageInfo | None = None


Saved = SavedImage | NotAnImage | SlowCheck | OSError
"""What came of it."""
_NOT_SAVED = (NotAnImage, SlowCheck, OSError)


def _patience_ns() -> int:
    return PATIENCE_NS


class ImageStore(NamedTuple):
    """Saves images below OUT. Blocking; meant for a pool of threads.

    patience_ns: CPU that the check of an image may take here.
    """

    folder: Folder
    check: Check
    patience_ns: Callable[[], int] = _patience_ns

    def save(self, order: ToSave) -> SavedImage:
        """Check, write, sync and publish one image.

        Raises NotAnImage, SlowCheck where its check may take long, or OSError when the disk refuses.
        """
        checked = self._checked(order)
        name = save_unique(self.folder, checked.name, lambda: (checked.data,))
        return checked.saved(name)

    def save_all(self, orders: Sequence[ToSave]) -> list[Saved]:
        """The same for several, synced together: each image, in order, or what `save` would have raised."""
        if len(orders) == 1:
            return [self._saved_alone(orders[0])]
        ends: dict[int, Saved] = {}
        checked: dict[int, _Checked] = {}
        for index, order in enumerate(orders):
            try:
                checked[index] = self._checked(order)
            except _NOT_SAVED as reason:
                ends[index] = reason
        problems = save_all(self.folder, [(image.name, (image.data,)) for image in checked.values()])
        for (index, image), problem in zip(checked.items(), problems, strict=True):
            if isinstance(problem, FileExistsError):
                ends[index] = self._saved_alone(orders[index])
            else:
                ends[index] = problem or image.saved(image.name)
        return [ends[index] for index in range(len(orders))]

    def _saved_alone(self, order: ToSave) -> Saved:
        try:
            return self.save(order)
        except _NOT_SAVED as problem:
            return problem

    def _checked(self, order: ToSave) -> _Checked:
        pieces, requested, label, info = order
        data = b"".join(pieces)  # once: each step over a piece is a turn of the interpreter's lock
        crash_point("check, before")
        if info is None:
            info = inspect_image(
                data, asked_format=requested.output_format, check=self.check, patience_ns=self.patience_ns()
            )
        crash_point("check, after")
        digest = hashlib.sha256(data).hexdigest()
        return _Checked(data, label, info, mismatch_flags(info, requested), digest)
