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
from pathlib import Path
from typing import NamedTuple

from jobs.addresses import has_date
from runner.process.state_folder import state_folder
from schemas.errors import ExitCode, JobError
from schemas.job import Job

KEY = "imagemill-key"
"""The credential's name."""

_AFTER_DRAIN_S = 300
"""For the results table, once the answers in flight have come."""
_NO_FAILURE = (
    ExitCode.SOME_FAILED,
    ExitCode.BUDGET,
    ExitCode.MAX_DURATION,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
)
_NOT_MENDED_BY_WAITING = (
    ExitCode.USAGE,
    ExitCode.ACCOUNT,
    ExitCode.LOCKED,
    ExitCode.DAMAGED,
    ExitCode.LOCAL,
)
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
    lines = [f"# imagemill, every day at {plan.at:%H:%M}. Install: crontab -e, and paste this."]
    if plan.key_file is not None:
        lines.append(f"# The key is the first line of {plan.key_file}, readable by you alone (chmod 600).")
    lines.append("# No flock is needed: a run that finds another one at work ends with exit code 6.")
    lines += [f"# {note}" for note in _notes(plan)]
    return "\n".join([*lines, cron_line(plan)]) + "\n"


def unit_files(plan: Schedule) -> dict[str, str]:
    """File name -> text of the service and its timer."""
    return {f"{plan.name}.service": _service(plan), f"{plan.name}.timer": _timer(plan)}


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


def _notes(plan: Schedule) -> Iterator[str]:
    run = plan.job.run
    if run.deadline is None and run.max_duration is None:
        yield "Nothing ends a run by time: see --deadline and --max-duration."
    if not has_date(plan.job.out) and has_date(plan.job.manifest):
        yield "The manifest changes with the date, the folder does not: see {date} in `out`."


def _service(plan: Schedule) -> str:
    lines = [f"# {unit_folder(plan) / plan.name}.service"]
    lines += [f"# {note}" for note in _notes(plan)]
    lines += [
        "[Unit]",
        f"Description=imagemill: {_plain(plan.job_file.name)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "StartLimitIntervalSec=6h",
        "StartLimitBurst=4",
        "",
        "[Service]",
        "Type=exec",
        *_identity(plan),
        f"WorkingDirectory={_plain(str(plan.cwd))}",
        f"ExecStart={' '.join(_exec_words(plan))}",
        "",
        "# SIGTERM lets answers in flight land (--drain), then the results are written.",
        "KillSignal=SIGTERM",
        f"TimeoutStopSec={math.ceil(plan.job.run.drain) + _AFTER_DRAIN_S}",
        "# 3: some rows failed, 8: budget, 10: time is up, 130 and 143: stopped. The next night goes on.",
        f"SuccessExitStatus={_codes(_NO_FAILURE)}",
        "# Started again after a crash (1, or killed) and when the service was down (5), not when a person is needed.",
        "Restart=on-failure",
        "RestartSec=15min",
        f"RestartPreventExitStatus={_codes(_NOT_MENDED_BY_WAITING)}",
        "",
        *_hardening(plan),
    ]
    return "\n".join(lines) + "\n"


def _codes(codes: tuple[ExitCode, ...]) -> str:
    return " ".join(str(int(code)) for code in codes)


def _identity(plan: Schedule) -> Iterator[str]:
    if not plan.user:
        yield f"User={getpass.getuser()}"
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        yield f"Environment={_word(f'XDG_STATE_HOME={state}')}"
    if plan.key_file is not None:
        yield "# The key, in a file that only root can read; the service sees a copy of its own."
        yield f"# Encrypted: systemd-creds encrypt --name={KEY} FILE FILE.cred, and LoadCredentialEncrypted= below."
        yield f"LoadCredential={KEY}:{_plain(str(plan.key_file))}"


def _exec_words(plan: Schedule) -> list[str]:
    words = [_word(word.replace("$", "$$")) for word in plan.command]
    if plan.key_file is not None:
        words += ["--set", f"endpoint.api_key_file=%d/{KEY}"]
    return words


def _hardening(plan: Schedule) -> Iterator[str]:
    yield "NoNewPrivileges=yes"
    yield "LockPersonality=yes"
    yield "RestrictSUIDSGID=yes"
    if plan.user:
        return
    writable = dict.fromkeys(_writable(plan))
    used = [*writable, plan.job_file, Path(plan.command[0]), plan.cwd / (plan.job.manifest or "")]
    if not any(path.is_relative_to(folder) for path in used for folder in ("/tmp", "/var/tmp")):
        yield "PrivateTmp=yes"
    yield "PrivateDevices=yes"
    yield "ProtectKernelTunables=yes"
    yield "ProtectKernelModules=yes"
    yield "ProtectControlGroups=yes"
    yield "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"
    yield "# Everything is read-only but where the images, the locks and the figures go."
    yield "ProtectSystem=strict"
    yield f"ReadWritePaths={' '.join(_word(str(path)) for path in writable)}"


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


def _timer(plan: Schedule) -> str:
    lines = [
        f"# {unit_folder(plan) / plan.name}.timer",
        "[Unit]",
        f"Description=imagemill every day: {_plain(plan.job_file.name)}",
        "",
        "[Timer]",
        f"OnCalendar=*-*-* {plan.at:%H:%M:%S}",
        "# A night that was missed (the machine was off) is made up for.",
        "Persistent=true",
        "RandomizedDelaySec=60",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """A setting's text in which nothing is a specifier."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """One word of a setting that is a list of words."""
    text = _plain(text)
    if not _SPECIAL.search(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
