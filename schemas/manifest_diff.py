"""How a manifest differs from what its folder has sent: part of `plan --json`. Field names are the JSON keys."""

from __future__ import annotations

from dataclasses import dataclass

SHOWN = 10
"""Rows of a kind that are listed one by one."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One thing that a row asks for otherwise. field: `prompt`, or a body field. None: not sent (the service's default)."""

    field: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class EditedRow:
    """A row whose newest earlier version was sent. held: that version has an image, or may have been paid for."""

    row_id: str
    held: bool
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class ManifestChanges:
    """Manifest rows by what the ledger knows of them; rows that cannot be sent are in none of the first three.

    unchanged: sent earlier as they are now. new: never sent. edited: sent earlier as something else; held: of these, how
    many have an image or may have been paid for. removed: sent earlier and gone from the manifest; 0 where only a part of
    the manifest is read. …_rows: the first `SHOWN` of them.
    """

    unchanged: int = 0
    new: int = 0
    edited: int = 0
    held: int = 0
    removed: int = 0
    edited_rows: tuple[EditedRow, ...] = ()
    new_rows: tuple[str, ...] = ()
    removed_rows: tuple[str, ...] = ()
