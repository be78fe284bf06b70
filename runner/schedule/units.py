"""What a scheduler is given to run a job every night: a systemd service with its timer, or a line for cron.

Both run in an environment without profile or terminal, so everything stands in them: absolute paths, the folder to work
in, and the file that holds the key.
"""

from __future__ import annotations

import getpass
import math
import os
import re
import shlex
import sys
from collections.abc import Iterator
from datetime import time
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

from jobs.addresses import has_date
from runner.process.state_folder import state_folder
from schemas.errors import JobError
from schemas.job import Job

_AFTER_DRAIN_S = 300
"""For the results table, once the answers in flight have come."""
_OPTIONAL = re.compile(r"(?:^#.*\n)*^\w+=.*\$\{(\w+)\}\n", re.MULTILINE)
"""A setting of a template, with the comments above it; left out when it has no value."""
_SPECIAL = re.compile(r"""[\s"'\\;]""")


class Schedule(NamedTuple):
    """One job, once a day. job_file, cwd, key_file: absolute. options: of `run`, besides. user: for a user's own manager."""

    job: Job
    job_file: Path
    cwd: Path
    at: time
    name: str
    options: tuple[str, ...] = ()
    key_file: Path | None = None
    user: bool = False

    @property
    def command(self) -> list[str]:
        """The command without what says where the key is."""
        beside = Path(sys.executable).with_name("imagemill")
        program = [str(beside)] if beside.is_file() else [sys.executable, "-m", "runner"]
        quiet = ("--json", "--progress", "none")
        return [*program, "run", str(self.job_file), *self.options, *quiet]


def time_of(text: str) -> time:
    """The time of day `HH:MM` or `HH:MM:SS`. Raises JobError (exit 2)."""
    try:
        if not re.fullmatch(r"\d\d?:\d\d(:\d\d)?", text.strip()):
            raise ValueError
        return time.fromisoformat(text.strip().zfill(5) if text.count(":") == 1 else text.strip().zfill(8))
    except ValueError:
        raise JobError(
            f"--at {text}: not a time of day", fix="write it as 02:00 (24 hours, local time)"
        ) from None


def unit_name(job_file: Path) -> str:
    """A name for the units, from the job file's."""
    return "imagemill-" + (re.sub(r"[^A-Za-z0-9_.-]+", "-", job_file.stem).strip("-.") or "job")


def key_file_of(job: Job, name: str, given: str | None, *, user: bool) -> Path | None:
    """The file that holds the key; None when the job needs none, or has a command that prints it.

    given: the user's own choice. Raises JobError (exit 2) when the job takes its key from a variable, which nobody sets.
    """
    if job.simulate:
        return None
    if job.endpoint.api_key_env is not None:
        raise JobError(
            "endpoint.api_key_env names a variable that is not set when a scheduler starts the job",
            fix="take it out of the job file, and put the key into a file (--key-file)",
        )
    own = given or job.endpoint.api_key_file
    if own is not None:
        return Path(own).expanduser().absolute()
    if job.endpoint.api_key_command is not None:
        return None
    folder = Path.home() / ".config" / "imagemill" if user else Path("/etc/imagemill")
    return folder / f"{name}.key"


def cron_line(plan: Schedule) -> str:
    """The crontab line. Raises JobError (exit 2) for what cron cannot say."""
    if plan.at.second:
        raise JobError("--at: cron knows no seconds", fix=f"--at {plan.at:%H:%M}")
    words = list(plan.command)
    if plan.key_file is not None:
        words += ["--set", f"endpoint.api_key_file={plan.key_file}"]
    log = plan.cwd / f"{plan.name}.log"
    text = f"cd {shlex.quote(str(plan.cwd))} && {shlex.join(words)} >> {shlex.quote(str(log))} 2>&1"
    if "\n" in text:
        raise JobError("a path holds a line break, which a crontab cannot hold", fix="rename it")
    escaped = text.replace("%", r"\%")
    return f"{plan.at.minute} {plan.at.hour} * * * {escaped}"


def cron_text(plan: Schedule) -> str:
    """The line with what to know about it, as comments, which a crontab may hold too."""
    key = f"# The key is the first line of {plan.key_file}, readable by you alone (chmod 600).\n"
    return _filled(
        "crontab",
        clock=f"{plan.at:%H:%M}",
        key=key if plan.key_file is not None else "",
        notes=_notes(plan),
        line=cron_line(plan),
    )


def unit_files(plan: Schedule) -> dict[str, str]:
    """File name -> text of the service and its timer."""
    unit, job = str(unit_folder(plan) / plan.name), _plain(plan.job_file.name)
    timer = _filled("job.timer", unit=unit, job=job, clock=f"{plan.at:%H:%M:%S}")
    state = os.environ.get("XDG_STATE_HOME")
    service = _filled(
        "job.service",
        unit=unit,
        notes=_notes(plan),
        job=job,
        user="" if plan.user else getpass.getuser(),
        environment=_word(f"XDG_STATE_HOME={state}") if state else "",
        key_file=_plain(str(plan.key_file or "")),
        cwd=_plain(str(plan.cwd)),
        command=" ".join(_exec_words(plan)),
        stop_s=str(math.ceil(plan.job.run.drain) + _AFTER_DRAIN_S),
    )
    return {
        f"{plan.name}.service": service + ("" if plan.user else _sandbox(plan)),
        f"{plan.name}.timer": timer,
    }


def install_commands(plan: Schedule) -> list[str]:
    """What to type to install the units, once their files are in `unit_folder`."""
    sudo, manager = ("", "systemctl --user") if plan.user else ("sudo ", "sudo systemctl")
    commands = []
    if plan.key_file is not None and not plan.key_file.is_file():
        key = shlex.quote(str(plan.key_file))
        commands.append(f"{sudo}install -D -m 600 /dev/stdin {key}    # then type the key, Enter, Ctrl-D")
    commands += [f"{manager} daemon-reload", f"{manager} enable --now {plan.name}.timer"]
    commands += [f"{manager} start {plan.name}.service    # tries it now"]
    return (
        [*commands, "loginctl enable-linger    # so that it runs without a login"] if plan.user else commands
    )


def unit_folder(plan: Schedule) -> Path:
    """Where systemd looks for the units."""
    return Path.home() / ".config" / "systemd" / "user" if plan.user else Path("/etc/systemd/system")


def _filled(name: str, **values: str) -> str:
    """A template's text, without the settings that have no value."""
    text = files("runner.schedule").joinpath("templates", name).read_text("utf-8")
    kept = _OPTIONAL.sub(lambda setting: setting[0] if values[setting[1]] else "", text)
    return Template(kept).substitute(values)


def _notes(plan: Schedule) -> str:
    """Comments, a line each."""
    run, notes = plan.job.run, ""
    if run.deadline is None and run.max_duration is None:
        notes += "# Nothing ends a run by time: see --deadline and --max-duration.\n"
    if not has_date(plan.job.out) and has_date(plan.job.manifest):
        notes += "# The manifest changes with the date, the folder does not: see {date} in `out`.\n"
    return notes


def _exec_words(plan: Schedule) -> list[str]:
    words = [_word(word.replace("$", "$$")) for word in plan.command]
    if plan.key_file is not None:
        words += ["--set", "endpoint.api_key_file=%d/imagemill-key"]
    return words


def _sandbox(plan: Schedule) -> str:
    """Restrictions for the machine's manager; a user's own has no right to impose them."""
    writable = dict.fromkeys(_writable(plan))
    used = [*writable, plan.job_file, Path(plan.command[0]), plan.cwd / (plan.job.manifest or "")]
    in_tmp = any(path.is_relative_to(folder) for path in used for folder in ("/tmp", "/var/tmp"))
    words = " ".join(_word(str(path)) for path in writable)
    return _filled("sandbox.service", private_tmp="" if in_tmp else "yes", writable=words)


def _writable(plan: Schedule) -> Iterator[Path]:
    fixed = re.split(r"[{]", plan.job.out, maxsplit=1)[0]
    out = plan.cwd / Path(fixed).expanduser()
    yield _existing(plan.cwd)
    if not out.is_relative_to(plan.cwd):
        yield _existing(out if fixed == plan.job.out or fixed.endswith("/") else out.parent)
    yield _existing(state_folder())
    if plan.job.run.metrics_file is not None:
        yield _existing((plan.cwd / Path(plan.job.run.metrics_file).expanduser()).parent)


def _existing(path: Path) -> Path:
    """The folder, or the nearest one above it that is there: systemd refuses one that is not."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _plain(text: str) -> str:
    """A setting's text in which nothing is a specifier."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """One word of a setting that is a list of words."""
    text = _plain(text)
    if not _SPECIAL.search(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
