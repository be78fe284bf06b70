"""`imagemill export`: the images of a folder as a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs

_SHAPES = (
    *("imagefolder", "parquet", "webdataset", "csv"),
    *("geneval", "t2i-compbench", "dpg-bench", "unigenbench", "genarena"),
)
_SETTINGS = ("name", "metadata", "split", "license", "index", "subset", "shard_mb")


def _export(**values: Any) -> int:
    set_up_logs(values)
    from runner.app.export import Chosen, export_folder
    from runner.app.export_settings import settings_of
    from runner.cli.console import print_facts
    from runner.cli.json_report import print_report
    from runner.cli.lines.export import as_json, export_facts, verdict
    from schemas.errors import ExitCode

    out, dest = Path(values["out"]), Path(values["dest"])
    columns = values["columns"]
    settings = settings_of(
        values["to"],
        columns=None if columns is None else [name.strip() for name in columns.split(",")],
        copy=values["copy"],
        **{name: values[name] for name in _SETTINGS},
    )
    picks = None if values["picks"] is None else Path(values["picks"])
    chosen = Chosen(values["where"], picks, values["sample"], values["seed"])
    found = export_folder(out, dest, settings, chosen, values["push"])
    code = ExitCode.DAMAGED if found.damaged else ExitCode.OK
    if values["as_json"]:
        content = as_json(found, out, dest, settings.to)
        print_report("export", content, exit_code=code, exit_reason=verdict(found))
    else:
        print_facts(export_facts(found, out, dest, settings.to))
    return code


def _row_options() -> list[click.Parameter]:
    group = "Which rows"
    return [
        Option(
            ["--where"],
            group=group,
            metavar="EXPR",
            help="SQL, as after WHERE, over the columns of results.parquet; with --picks also rating, tag, note",
        ),
        Option(
            ["--picks"],
            group=group,
            metavar="FILE",
            type=click.Path(),
            help="only images picked in this file",
        ),
        Option(
            ["--sample"],
            group=group,
            metavar="N",
            type=click.IntRange(min=1),
            help="N rows, drawn by the seed",
        ),
        Option(["--seed"], group=group, metavar="S", type=int, default=0, help="of the sample (default 0)"),
    ]


def _shape_options() -> list[click.Parameter]:
    group = "Shape"
    return [
        Option(
            ["--to"],
            group=group,
            metavar="SHAPE",
            required=True,
            choices=_SHAPES,
            help=f"{', '.join(_SHAPES)}",
        ),
        Option(["--columns"], group=group, metavar="A,B", help="results columns to keep (default: all)"),
        Option(
            ["--name"],
            group=group,
            metavar="TEMPLATE",
            help="names of images, over columns (default {row_id}-{image_index})",
        ),
        Option(
            ["--metadata"],
            group=group,
            metavar="FORM",
            choices=("parquet", "jsonl"),
            help="of imagefolder: parquet (default) or jsonl",
        ),
        Option(["--split"], group=group, metavar="NAME", help="name of the split (default train)"),
        Option(["--license"], group=group, metavar="ID", help="for the dataset card, such as cc-by-4.0"),
        Option(
            ["--index"],
            group=group,
            metavar="COL",
            help="column with a prompt's number in an evaluator's list (default row)",
        ),
        Option(
            ["--subset"], group=group, metavar="NAME", help="of unigenbench (default en), genarena (basic)"
        ),
        Option(
            ["--shard-mb"],
            group=group,
            metavar="N",
            type=int,
            help="the most that a shard holds (default 500)",
        ),
        Option(["--copy"], group=group, is_flag=True, help="copy images, instead of linking them"),
        Option(["--push"], group=group, metavar="URL", help="send it to hf://datasets/OWNER/NAME as well"),
    ]


command = Command(
    "export",
    callback=_export,
    params=[
        click.Argument(["out"], type=click.Path()),
        click.Argument(["dest"], type=click.Path()),
        *_row_options(),
        *_shape_options(),
        *common_options(),
    ],
    help="Make a dataset of the images in DEST, a new or an empty folder. The same command goes on where one was"
    " interrupted, and adds what has been made since. Captions are the prompts that were sent. Sends nothing"
    " without --push.",
)
