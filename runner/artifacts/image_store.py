"""Images saved: checked, named, durable under their final names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from jobs.naming import image_name
from runner.artifacts.atomic_files import Buffer, Folder, keep
from runner.artifacts.batch_save import save_all
from runner.artifacts.image_checks import Looked, differences, look
from runner.process.crash_points import crash_point
from schemas.artifacts import Asked, Label, NotAnImage
from schemas.outcome import SavedImage


class _Checked(NamedTuple):
    """An image that may be saved."""

    data: bytes
    label: Label
    looked: Looked
    flags: tuple[str, ...]
    sha256: str

    @property
    def name(self) -> str:
        """Where it goes, if no other file is there."""
        label = self.label
        return image_name(label.attempt, label.image, label.slug, self.looked.format)

    def saved(self, name: str) -> SavedImage:
        """The image, saved under this name."""
        data, label, looked, flags, digest = self
        return SavedImage(
            label.image, name, looked.format, looked.width, looked.height, len(data), digest, flags=flags
        )


ToSave = tuple[Sequence[Buffer], Asked, Label]
"""An image to be saved, in pieces, and what is known of it."""
Saved = SavedImage | NotAnImage | OSError
"""What came of it."""


class ImageStore(NamedTuple):
    """Saves images below OUT. Blocking; meant for a pool of threads."""

    folder: Folder
    max_pixels: int

    def save(self, pieces: Sequence[Buffer], asked: Asked, label: Label) -> SavedImage:
        """Check, write, sync and publish one image. Raises NotAnImage, or OSError when the disk refuses."""
        checked = self._checked(pieces, asked, label)
        name = keep(self.folder, checked.name, lambda: (checked.data,))
        return checked.saved(name)

    def save_all(self, orders: Sequence[ToSave]) -> list[Saved]:
        """The same for several, synced together: each image, in order, or what `save` would have raised."""
        if len(orders) == 1:
            return [self._saved_alone(orders[0])]
        ends: dict[int, Saved] = {}
        checked: dict[int, _Checked] = {}
        for place, order in enumerate(orders):
            try:
                checked[place] = self._checked(*order)
            except (NotAnImage, OSError) as reason:
                ends[place] = reason
        problems = save_all(self.folder, [(image.name, (image.data,)) for image in checked.values()])
        for (place, image), problem in zip(checked.items(), problems, strict=True):
            if isinstance(problem, FileExistsError):
                ends[place] = self._saved_alone(orders[place])
            else:
                ends[place] = problem or image.saved(image.name)
        return [ends[place] for place in range(len(orders))]

    def _saved_alone(self, order: ToSave) -> Saved:
        try:
            return self.save(*order)
        except (NotAnImage, OSError) as problem:
            return problem

    def _checked(self, pieces: Sequence[Buffer], asked: Asked, label: Label) -> _Checked:
        data = b"".join(pieces)  # once: each step over a piece is a turn of the interpreter's lock
        crash_point("check, before")
        looked = look(data, asked_format=asked.output_format, max_pixels=self.max_pixels)
        crash_point("check, after")
        digest = hashlib.sha256(data).hexdigest()
        return _Checked(data, label, looked, differences(looked, asked), digest)
