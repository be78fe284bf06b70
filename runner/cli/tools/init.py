"""`imagemill init`: a folder to begin with. Overwrites nothing."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from runner.cli.groups import Command
from runner.cli.options import common_options

_STARTER = Path(__file__).parents[1] / "starter"
FILES = {"job.toml": "job.toml", "prompts.csv": "prompts.csv", "env.example": ".env.example"}
"""Name in the package -> name in the folder. What begins with a dot is easily left out of a wheel."""


def _init(**values: Any) -> int:
    from runner.cli.console import print_facts
    from runner.cli.json_report import print_report
    from runner.process.disk_errors import explaining
    from schemas.output_folder import LEDGER_NAME

    folder = Path(values["folder"])
    if (folder / LEDGER_NAME).exists():
        raise click.UsageError(f"{folder} is an output folder of imagemill; choose another one")
    written, kept = [], []
    with explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for source, name in FILES.items():
            try:
                with (folder / name).open("x", encoding="utf-8") as file:
                    file.write((_STARTER / source).read_text("utf-8"))
                written.append(name)
            except FileExistsError:
                kept.append(name)
    command = f"imagemill run {shlex.quote(str(folder / 'job.toml'))} --simulate --out runs/trial"
    if values["as_json"]:
        print_report("init", {"folder": str(folder), "written": written, "kept": kept, "next": command})
        return 0
    facts = [("folder", str(folder)), ("written", ", ".join(written) or "nothing")]
    if kept:
        facts.append(("kept", f"{', '.join(kept)} (as it was: init overwrites nothing)"))
    print_facts([*facts, ("next", command)])
    return 0


command = Command(
    "init",
    callback=_init,
    params=[
        click.Argument(["folder"], default=".", metavar="[FOLDER]", type=click.Path()),
        *common_options(),
    ],
    help="Write a commented job file (job.toml), a small manifest (prompts.csv) and .env.example into a folder"
    " (default: the current one), for you to change. Overwrites nothing, sends nothing.",
    epilog="Example: imagemill init first && imagemill run first/job.toml --simulate --out runs/trial",
)
