"""`python tests/support/wheel.py FILE.whl`: fails when a wheel does not hold exactly our packages,
the documentation and its own metadata."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
PACKAGES = ("schemas", "jobs", "runner", "imagemill")
NEEDED = (
    "runner/cli/main.py",
    "runner/py.typed",
    "schemas/py.typed",
    "jobs/py.typed",
    "imagemill/__init__.py",
    "imagemill/__main__.py",
    "imagemill/py.typed",
    "runner/ledger/schema.sql",
    "runner/cli/starter/job.toml",
    "runner/cli/starter/prompts.csv",
    "runner/cli/starter/env.example",
    "runner/schedule/templates/job.service",
    "runner/simulator/recorded/sub2api/done.json",
    *(f"runner/docs/{page.relative_to(DOCS).as_posix()}" for page in sorted(DOCS.rglob("*.md"))),
)


def complaints(names: list[str]) -> list[str]:
    """What is wrong with the files of a wheel."""
    homes = {name.partition("/")[0] for name in names}
    foreign = sorted(home for home in homes if home not in PACKAGES and not home.endswith(".dist-info"))
    litter = [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".png"))]
    absent = [name for name in NEEDED if name not in names]
    found = (("not ours", foreign), ("litter", litter), ("missing", absent))
    return [f"{what}: {', '.join(which)}" for what, which in found if which]


if __name__ == "__main__":
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        held = wheel.namelist()
    sys.stdout.write(f"{len(held)} files\n")
    sys.exit("\n".join(complaints(held)) or 0)
