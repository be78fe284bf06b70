"""What `report` has built."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuiltReport:
    """A report that is whole. dest: its folder, or its single file; page: what to open in a browser.

    rows: results rows (one an image asked for); images: those that succeeded; failures: those that failed, are parked or
    invalid. charts: pictures that were drawn beside it. simulated: whether a folder's runs were.
    """

    dest: str
    page: str
    rows: int
    images: int
    failures: int
    charts: tuple[str, ...] = ()
    simulated: bool = False
