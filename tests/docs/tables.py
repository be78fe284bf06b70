"""The tables of the documentation, written from the code that they describe."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from prometheus_client.parser import text_string_to_metric_families

import runner
from runner.cli.main import SUMMARIES, commands
from runner.config.json_schema import allowed, job_json_schema, job_keys
from runner.manifest.columns import ALIASES
from runner.telemetry.prometheus import MetricsFile
from schemas.errors import ExitCode
from schemas.failures import RULES, Billed, Resend, Rule
from schemas.job_options import JOB_OPTIONS
from schemas.json_objects import json_schema
from schemas.providers import CUSTOM_KEY_ENV, PROFILES
from schemas.reports import Progress, RunEnd
from schemas.request import FIELDS, MAX_PROMPT_CHARS
from schemas.results import COLUMNS
from schemas.summary import State, Summary
from schemas.task_dialects import AUTO, DIALECTS, GENERATIONS, SYNC, TaskDialect
from tests.support.waiting import until

_RESENT = {
    Resend.NEVER: "not sent again",
    Resend.COUNTED: "sent again, up to `--attempts`",
    Resend.PATIENT: "waits and is sent again, until `--give-up`",
    Resend.IF_ALLOWED: "sent again only with `--on-ambiguous retry`",
}
_BILLED = {Billed.NO: "no", Billed.MAYBE: "maybe", Billed.YES: "yes"}

_EXIT_CODES = {
    ExitCode.OK: "every row succeeded, or had already",
    ExitCode.INTERNAL: "internal error",
    ExitCode.USAGE: "usage, job file or manifest; nothing was sent",
    ExitCode.SOME_FAILED: "finished; some rows failed, parked or invalid",
    ExitCode.ACCOUNT: "stopped: key, permission, quota, billing",
    ExitCode.SERVICE_DOWN: "stopped: service down or refusing for too long; canary or too many failures",
    ExitCode.LOCKED: "another run holds the lock of the folder or the job",
    ExitCode.DAMAGED: "ledger or files damaged: see `imagemill verify`",
    ExitCode.BUDGET: "budget reached (`--max-cost`, `--max-requests`)",
    ExitCode.LOCAL: "this machine: disk full, descriptors",
    ExitCode.MAX_DURATION: "`--max-duration` or `--deadline` reached",
    ExitCode.HUNG_UP: "hung up (SIGHUP: the terminal is gone); resumable",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C); resumable",
    ExitCode.TERMINATED: "terminated (SIGTERM); resumable",
}


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    titles = list(head)
    lines = [
        titles,
        ["---"] * len(titles),
        *([str(cell).replace("|", "\\|").replace("<", "&lt;") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(*names: str) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _happens(rule: Rule) -> str:
    also = (", all senders wait" if rule.slows else "") + (", the run stops" if rule.halts else "")
    return _RESENT[rule.resend] + also


def error_kinds() -> str:
    """Every `error_kind` and what it means."""
    head = ("`error_kind`", "meaning", "the request is", "row ends as", "paid for?", "who can mend it")
    rows = (
        (f"`{kind}`", rule.meaning, _happens(rule), rule.rest, _BILLED[rule.billed], rule.who)
        for kind, rule in RULES.items()
    )
    return _table(head, rows)


def exit_codes() -> str:
    """Every exit code. Raises KeyError for one that has no meaning here."""
    return _table(("code", "meaning"), ((int(code), _EXIT_CODES[code]) for code in ExitCode))


def _flags(option: click.Option) -> str:
    return _code(" ".join(filter(None, (", ".join(option.opts), option.metavar))))


def every_command() -> dict[str, click.Command]:
    """The commands by name, in the order of `--help`."""
    root = commands()
    found = {name: root.get_command(click.Context(root), name) for name in SUMMARIES}
    return {name: command for name, command in found.items() if command is not None}


def _options(command: click.Command) -> dict[str, click.Option]:
    return {option.opts[-1]: option for option in command.params if isinstance(option, click.Option)}


def _usage(name: str, command: click.Command) -> str:
    pieces = command.collect_usage_pieces(click.Context(command, info_name=name))
    return " ".join((f"imagemill {name}", *pieces))


def _run_options(command: click.Command) -> str:
    keys = {option.flag: f"`{option.key}`" for option in JOB_OPTIONS}
    rows = ((_flags(option), option.help, keys.get(flag, "")) for flag, option in _options(command).items())
    return _table(("option", "meaning", "job key"), rows)


def _other_options(command: click.Command, run: dict[str, click.Option]) -> Iterator[str]:
    """Options that `run` has with the same meaning are named, not explained again."""
    options = _options(command)
    again = [flag for flag, option in options.items() if flag in run and run[flag].help == option.help]
    own = [option for flag, option in options.items() if flag not in again]
    if own:
        yield _table(("option", "meaning"), ((_flags(option), option.help) for option in own))
    if again:
        yield f"As for [run](#imagemill-run): {_code(*again)}."


def command_options() -> str:
    """A section for each command."""
    found = every_command()
    parts = []
    for name, command in found.items():
        parts += [f"## imagemill {name}", f"`{_usage(name, command)}`", command.help or ""]
        if name == "run":
            parts.append(_run_options(command))
        else:
            parts += _other_options(command, _options(found["run"]))
    return "\n\n".join(parts) + "\n"


def _default(leaf: dict[str, Any]) -> str:
    return f"`{leaf['default']}`" if leaf.get("default") not in (None, [], {}, ()) else ""


def _leaf_rows(leaves: dict[str, dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    options = {option.key: option for option in JOB_OPTIONS}
    for key, leaf in leaves.items():
        option = options.get(key)
        meaning = leaf["description"] if option is None or "description" in leaf else option.help
        yield f"`{key}`", meaning, allowed(leaf), _default(leaf), f"`{option.flag}`" if option else ""


def job_file_keys() -> str:
    """Every key of the job file, a table for each table of the file."""
    head = ("key", "meaning", "value", "default", "option")
    properties = job_json_schema()["properties"]
    top = {key: leaf for key, leaf in job_keys().items() if "." not in key}
    parts = ["## Top level", _table(head, _leaf_rows(top))]
    for name, node in properties.items():
        if "$ref" in node:
            leaves = {key: leaf for key, leaf in job_keys().items() if key.startswith(f"{name}.")}
            parts += [f"## [{name}]", node["description"], _table(head, _leaf_rows(leaves))]
    return "\n\n".join(parts) + "\n"


def _definition(name: str, prefix: str) -> Iterator[tuple[str, ...]]:
    for key, leaf in job_json_schema()["$defs"][name]["properties"].items():
        yield f"`{prefix}{key}`", leaf.get("description", ""), _default(leaf)


def price_keys() -> str:
    """The keys of a price list."""
    rows = [
        *_definition("PricesTable", "endpoint.prices."),
        *_definition("ImagePrice", "endpoint.prices.image[]."),
    ]
    return _table(("key", "meaning", "default"), rows)


def task_keys() -> str:
    """The keys that describe a relay."""
    return _table(("key", "meaning", "default"), _definition("TaskTable", "endpoint.task."))


def manifest_columns() -> str:
    """The columns that a manifest may have."""
    others = {role: _code(*names[1:]) for role, names in ALIASES.items()}
    meanings = {
        "prompt": f"required, 1 to {MAX_PROMPT_CHARS:,} characters",
        "id": "optional, unique; without it derived from the row's content",
    }
    rows = [(f"`{role}`", meanings[role], others[role]) for role in ALIASES]
    rows += [(f"`{rule.name}`", f"{rule.meaning}; empty: the job's default", "") for rule in FIELDS.values()]
    rows.append(("any other", "carried through to the results unchanged", ""))
    return _table(("column", "meaning", "also found as"), rows)


def results_columns() -> str:
    """The columns of results.parquet."""
    rows = [(f"`{name}`", f"`{kind}`", meaning) for name, kind, meaning in COLUMNS]
    rows.append(("the manifest's others", "as read", "prefixed `manifest_` where the name is taken"))
    return _table(("column", "type", "meaning"), rows)


def profiles() -> str:
    """Every profile and the keys that it reads."""
    rows = [
        (
            f"`--profile {profile.name}`",
            _code(profile.base_url) if profile.base_url else f"`--base-url`, such as {profile.address_form}",
            _code(profile.model) if profile.model else "",
            ", else ".join(_code(name) for name in profile.key_env),
            _code(*profile.dropped),
            ", ".join(f"`{old}` to `{new}`" for old, new in profile.renamed),
        )
        for profile in PROFILES.values()
    ]
    keys = ", else ".join(("the variable that `--api-key-env` names", *map(_code, CUSTOM_KEY_ENV)))
    rows.append(("`--base-url`", "any", "", keys, "", ""))
    return _table(
        ("endpoint chosen by", "address", "model", "key read from", "not sent", "field renamed"), rows
    )


def _asked_by(dialect: TaskDialect) -> str:
    ways = [f"the path `{dialect.submit_path}`"] if dialect.submit_path != GENERATIONS else []
    ways += [f"`?{name}={value}`" for name, value in dialect.submit_query]
    ways += [f'`"{name}": {str(value).lower()}` in the body' for name, value in dialect.submit_body]
    ways += [f"the key in `{dialect.key_header}`"] if dialect.key_header else []
    return ", ".join(ways) or "nothing"


def relays() -> str:
    """Every dialect of tasks."""
    rows = []
    for dialect in DIALECTS.values():
        paths = _code(*(path.replace("{id}", "ID") for path in dialect.poll_paths))
        title = f"`{dialect.name}` (default)" if dialect is AUTO else f"`{dialect.name}`"
        rows.append((title, _asked_by(dialect), paths))
        if dialect is AUTO:
            rows.append((f"`{SYNC}`", "nothing, whatever the profile says", "the same, should a task come"))
    return _table(("`--dialect`", "a task is asked for by", "polled at, in this order"), rows)


def _metrics_text() -> str:
    """What the file of a job holds while a run goes on and the last one has ended."""
    summary = Summary(
        imagemill="0.1.0",
        command="run",
        simulated=False,
        state=State.FINISHED,
        run_id="run",
        out="out",
        rows=2,
        images=2,
        by_status={"succeeded": 1},
        by_error={"moderation": 1},
        requests_sent=1,
        images_saved=1,
        maybe_billed=1,
        cost_usd=1.0,
        duration_s=1.0,
        exit_code=3,
        exit_reason="finished: 1 failed",
        next="",
    )
    end = RunEnd(3, summary.exit_reason, summary)
    seen = Progress("running", 1, True, 1, 0, 0, 0, 0, 16, 1.0, 1.0, 1.0, None, folder_cost_usd=1.0)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "job.prom"
        MetricsFile(path, "job").finished(end)
        going = MetricsFile(path, "job")
        going.progress(seen)
        until(lambda: "imagemill_run_images" in path.read_text("utf-8"))
        text = path.read_text("utf-8")
        going.finished(end)
    return text


def metrics() -> str:
    """Every figure, as a file that was written just now has it."""
    rows = []
    for family in text_string_to_metric_families(_metrics_text()):
        labels = sorted({name for sample in family.samples for name in sample.labels} - {"job"})
        rows.append((f"`{family.name}`", _code("job", *labels), family.documentation))
    return _table(("figure", "labels", "meaning"), sorted(rows))


def json_objects() -> str:
    """What each command prints with --json, besides what every object has."""
    schema = json_schema()["$defs"]["commands"]["properties"]
    shared = set(schema["failure"]["properties"])
    rows = [
        (f"`{name}`", _code(*(each for each in found["properties"] if each not in shared)))
        for name, found in schema.items()
        if name not in ("failure", "version")
    ]
    return _table(("command", "its own fields"), rows)


def ledger() -> str:
    """The tables of the ledger with their columns, and what its schema says of each."""
    (file,) = Path(runner.__file__).parent.rglob("schema.sql")
    schema = file.read_text("utf-8")
    rows = []
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(schema)
        for paragraph in schema.split("\n\n"):
            comment = " ".join(line[3:] for line in paragraph.splitlines() if line.startswith("-- "))
            for name in re.findall(r"^CREATE TABLE (\w+)", paragraph, re.MULTILINE):
                columns = [column for _, column, *_ in database.execute(f"PRAGMA table_info({name})")]
                rows.append((f"`{name}`", _code(*columns), comment))
    return _table(("table", "columns", "holds"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "commands": command_options,
    "error-kinds": error_kinds,
    "exit-codes": exit_codes,
    "job-keys": job_file_keys,
    "ledger": ledger,
    "manifest-columns": manifest_columns,
    "metrics": metrics,
    "json-objects": json_objects,
    "price-keys": price_keys,
    "profiles": profiles,
    "relays": relays,
    "results-columns": results_columns,
    "task-keys": task_keys,
}
"""By the name that a page marks their place with."""
