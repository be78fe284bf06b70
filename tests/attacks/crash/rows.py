"""The rows of a campaign's job: a shuffled mix of good, slow, refused, unusable and broken ones, unique over all jobs."""

from __future__ import annotations

import csv
import hashlib
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.attacks.faults import pictures
from tests.attacks.faults.marker import write

COLUMNS = ("id", "prompt", "n", "response_format")


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of row. ends: its status when nothing interrupts it. marker: what the server does. single: one image only."""

    name: str
    weight: int
    ends: str
    marker: str = ""
    single: bool = False


SORTS = (
    Sort("plain", 6, "succeeded"),
    Sort("slow", 10, "succeeded", write("late", after=0.03)),
    Sort("refused once", 2, "succeeded", write("status", code=429, body="rate_limit", hint="tiny", times=1)),
    Sort("broken once", 1, "succeeded", write("status", code=500, body="server_error", times=1)),
    Sort("undelivered", 2, "succeeded", write("link", get="server_error", gets=2), single=True),
    Sort("moderated", 1, "failed", write("status", code=400, body="moderation_blocked")),
    Sort("unusable", 4, "failed", write("body", kind="data_empty")),
    Sort("cut", 1, "parked", write("cut", at="middle", how="close")),
    Sort("reset", 1, "parked", write("reset_read")),
    Sort("invalid", 1, "invalid"),
)


@dataclass(frozen=True)
class CrashRow:
    """One manifest row. n: images asked for."""

    position: int
    row_id: str
    prompt: str
    n: int
    response_format: str
    sort: Sort

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """sha256 of the pictures that the server makes for it, by image index."""
        made = (pictures.picture(self.prompt, index) for index in range(self.n))
        return tuple(hashlib.sha256(data).hexdigest() for data in made)


def draw_rows(
    job: str, count: int, chance: random.Random, sorts: tuple[Sort, ...], opening: list[Sort]
) -> list[CrashRow]:
    """`count` rows that no other job has. job: its name, part of every prompt. opening: sorts of the first rows."""
    drawn = chance.choices(sorts, [each.weight for each in sorts], k=count - len(opening))
    rows = []
    for position, sort in enumerate([*opening, *drawn]):
        prompt = (
            "" if sort.ends == "invalid" else f"{job}, row {position}: a fox, NA 007 {sort.marker}".strip()
        )
        n = 2 if sort.ends == "succeeded" and not sort.single and chance.random() < 0.25 else 1
        form = chance.choice(("b64_json", "url", ""))
        rows.append(CrashRow(position, f"{position:03}e5", prompt, n, form, sort))
    return rows


def write_manifest(path: Path, rows: list[CrashRow]) -> None:
    """The rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((row.row_id, row.prompt, row.n, row.response_format) for row in rows)
