"""Reads a whole manifest into plain values, and checks what must hold for every batch on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runner.manifest.records import Batch, Manifest


@dataclass
class Found:
    """A manifest's records. extras: column -> values. malformed: record number -> message."""

    roles: dict[str, list[str | None]] = field(default_factory=dict)
    locations: list[str] = field(default_factory=list)
    malformed: dict[int, str] = field(default_factory=dict)
    extras: dict[str, list[Any]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    @property
    def prompts(self) -> list[str | None]:
        """The values of the role `prompt`."""
        return self.roles.get("prompt", [])

    @property
    def ids(self) -> list[str | None]:
        """The values of the role `id`."""
        return self.roles["id"]


def read_back(manifest: Manifest) -> Found:
    """All records, with their extras."""
    schema = manifest.extra_schema()
    found = Found(extras={name: [] for name in schema.names})
    for batch in manifest.batches():
        assert manifest.columns.keys() <= batch.roles.keys()
        assert {len(values) for values in batch.roles.values()} == {len(batch)}
        assert batch.texts() is batch.texts()
        before = len(found.locations)
        _check_malformed(batch)
        found.malformed |= {before + offset: message for offset, message in batch.malformed.items()}
        for role in batch.roles.keys() | found.roles.keys():
            values = found.roles.setdefault(role, [None] * before)
            values.extend(batch.roles.get(role, [None] * len(batch)))
        extras = batch.extras()
        assert extras.num_rows == len(batch)
        assert extras.schema.equals(schema)
        for name in schema.names:
            found.extras[name].extend(extras.column(name).to_pylist())
        found.locations.extend(batch.locations)
        found.sizes.append(len(batch))
    return found


def _check_malformed(batch: Batch) -> None:
    for offset, message in batch.malformed.items():
        assert message.startswith(f"{batch.locations[offset]}: ")
        assert "\n" not in message
        kept = [values[offset] for values in batch.roles.values()]
        "".join(filter(None, kept)).encode()
