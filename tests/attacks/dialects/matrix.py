"""The matrix: dialects down, what is done to their runs across."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.attacks.dialects.cells import CELLS, NO_TASKS, OK, Ground, guarded
from tests.attacks.dialects.ways import ALWAYS, Way

Matrix = dict[str, dict[str, str]]
"""Cells by way and column."""


def made(
    ground: Ground,
    ways: Sequence[Way],
    columns: Sequence[str] = tuple(CELLS),
    *,
    parallel: int = 2,
    tell: Callable[[str], None] = lambda line: None,
) -> Matrix:
    """Every cell. parallel: ways at once. tell: called with each line as it is done."""

    def row(way: Way) -> dict[str, str]:
        found = {column: guarded(CELLS[column], ground, way) for column in columns}
        tell(line(way, found))
        return found

    with ThreadPoolExecutor(parallel) as pool:
        return dict(zip((way.name for way in ways), pool.map(row, ways), strict=True))


def heading() -> Iterator[str]:
    """Above the lines."""
    yield f"not compared anywhere: {', '.join(sorted(ALWAYS))}"
    yield f"{'dialect':20}{''.join(f'{column:17}' for column in CELLS)}not compared either"


def line(way: Way, cells: dict[str, str]) -> str:
    """One way's cells, and what differs where something does."""
    shown = "".join(f"{_short(cells.get(column, '')):17}" for column in CELLS)
    lacks = [f"{name} (null)" for name in way.lacks]
    lines = [f"{way.name:20}{shown}{', '.join([*lacks, *way.own])}".rstrip()]
    lines += [f"    {column}: {cell}" for column, cell in cells.items() if _short(cell) == "DIFFERS"]
    return "\n".join(lines)


def _short(cell: str) -> str:
    return cell if cell in (OK, NO_TASKS, "") else "DIFFERS"


def failures(matrix: Matrix) -> list[str]:
    """Every cell that is not as it must be."""
    return [
        f"{name}, {column}: {cell}"
        for name, cells in matrix.items()
        for column, cell in cells.items()
        if _short(cell) == "DIFFERS"
    ]
