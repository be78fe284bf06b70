"""`imagemill simulate`: the service, simulated, as a server of its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs
from schemas.providers import DEFAULT_PROFILE, PROFILES, alternatives


def _simulate(**values: Any) -> int:
    set_up_logs(values)
    from runner.cli.json_report import print_report

    if values["list_faults"]:
        return _list_faults(as_json=values["as_json"])
    from runner.simulator.options import configure
    from runner.simulator.server import serve

    scenario = values["scenario"]
    config = configure(
        scenario=None if scenario is None else Path(scenario),
        **{
            name: values[name]
            for name in ("seed", "profile", "dialect", "latency", "rpm", "ipm", "realistic")
        },
    )
    code = serve(config, values["port"], quiet=values["quiet"])
    if values["as_json"]:
        print_report("simulate", {}, exit_code=code, exit_reason="stopped")
    return code


def _list_faults(*, as_json: bool) -> int:
    from runner.cli.json_report import print_report
    from runner.simulator.faults.kinds import KINDS, kinds_table

    if as_json:
        kinds = [asdict(kind) for kind in KINDS.values()]
        listed = [{name: kind[name] for name in ("name", "billed", "meaning")} for kind in kinds]
        print_report("simulate", {"faults": listed})
    else:
        click.echo(kinds_table())
    return 0


_BEHAVIOURS = [name for name, profile in PROFILES.items() if not profile.simulated_as]
_POSITIVE = click.FloatRange(min=0, min_open=True)

command = Command(
    "simulate",
    callback=_simulate,
    params=[
        Option(
            ["--port"], group="Server", type=click.IntRange(0, 65535), default=0, help="default: a free one"
        ),
        Option(
            ["--profile"],
            group="Server",
            metavar="NAME",
            type=click.Choice(_BEHAVIOURS),
            help=f"whose behaviour: {alternatives(_BEHAVIOURS)} (default {DEFAULT_PROFILE})",
        ),
        Option(
            ["--dialect"],
            group="Server",
            metavar="NAME",
            help="whose protocol: official (default), a relay's or a server's (a wrong name lists them)",
        ),
        Option(
            ["--latency"], group="Server", type=click.FloatRange(min=0), help="median seconds (default 0.2)"
        ),
        Option(
            ["--realistic"],
            group="Server",
            is_flag=True,
            help="20 to 60 s an answer, and files as large as real ones (a PNG: 1.5 to 2.5 MB)",
        ),
        Option(["--rpm"], group="Server", type=_POSITIVE, help="requests a minute (default: no limit)"),
        Option(["--ipm"], group="Server", type=_POSITIVE, help="images a minute (default: no limit)"),
        Option(["--seed"], group="Server", type=int, help="of images, latencies and shares (default 0)"),
        Option(["--scenario"], group="Server", type=click.Path(), help="limits, latency and faults (TOML)"),
        Option(
            ["--list-faults"], group="Server", is_flag=True, help="the kinds of faults a scenario may hold"
        ),
        *common_options(),
    ],
    help="Serve the Images API on 127.0.0.1 until Ctrl-C, with drawn images and without cost."
    " The first line on stdout is `base_url=http://127.0.0.1:N/v1` (or the dialect's own path);"
    " any Bearer key but `invalid` is good; stderr shows how to ask it, and at the end what it was asked."
    " With --json the last line is the JSON object.",
)
