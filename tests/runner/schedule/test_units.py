"""What a scheduler is given, word by word: quoting, key, folders that may be written to, exit codes, what to type.

`tests/runner/cli/tools/test_schedule.py` gives the same to systemd and to a shell.
"""

from __future__ import annotations

import getpass
import shlex
import sys
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from runner.schedule.units import (
    Schedule,
    cron_line,
    cron_text,
    install_commands,
    key_file_of,
    time_of,
    unit_files,
    unit_folder,
    unit_name,
)
from schemas.errors import ExitCode, JobError
from schemas.job import Job

NIGHTLY: dict[str, Any] = {
    "manifest": "p.csv",
    "out": "runs/{date}",
    "request": {"model": "m"},
    "run": {"deadline": "06:00", "drain": 90.5},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home without anything in it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def cwd(tmp_path: Path, home: Path) -> Path:
    """The folder to work in."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def scheduled(cwd: Path, name: str = "j.toml", job: dict[str, Any] | None = None, **more: Any) -> Schedule:
    """A job of this folder at five past two."""
    made = Job.model_validate(NIGHTLY | (job or {}))
    rest: dict[str, Any] = {"at": time(2, 5), "name": "imagemill-j"} | more
    return Schedule(made, cwd / name, cwd, **rest)


def settings(plan: Schedule, kind: str = "service") -> dict[str, str]:
    """The unit's settings, of which none may be there twice."""
    text = unit_files(plan)[f"{plan.name}.{kind}"]
    parts = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    pairs = [(name, value) for name, equals, value in parts if equals]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


# Times, names, keys


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("02:05", time(2, 5)),
        ("2:05", time(2, 5)),
        (" 23:59 ", time(23, 59)),
        ("2:05:09", time(2, 5, 9)),
        ("12:00:00", time(12)),
    ],
)
def test_a_time_of_day(text: str, told: time) -> None:
    assert time_of(text) == told


@pytest.mark.parametrize(
    "text", ["24:00", "12:60", "noon", "", "12", "1:2", "+02:05", "02:05Z", "02:05:09.5"]
)
def test_what_is_no_time_of_day(text: str) -> None:
    with pytest.raises(JobError, match="not a time of day") as refused:
        time_of(text)
    assert refused.value.exit_code is ExitCode.USAGE
    assert refused.value.message == f"--at {text}: not a time of day"
    assert refused.value.fix == "write it as 02:00 (24 hours, local time)"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("paintings.toml", "imagemill-paintings"),
        ("a job (new).toml", "imagemill-a-job-new"),
        ("A_b.c-1.toml", "imagemill-A_b.c-1"),
        ("ölfarben.toml", "imagemill-lfarben"),
        ("??.toml", "imagemill-job"),
    ],
)
def test_units_are_named_after_the_job_file(file: str, name: str) -> None:
    assert unit_name(Path("/jobs") / file) == name


def endpoint(**keys: str) -> Job:
    return Job.model_validate({"endpoint": keys})


def test_where_the_key_is(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    none = Job()
    assert key_file_of(none, "n", None, user=False) == Path("/etc/imagemill/n.key")
    assert key_file_of(none, "n", None, user=True) == home / ".config/imagemill/n.key"
    assert key_file_of(none, "n", "k", user=False) == tmp_path / "k"
    assert key_file_of(endpoint(api_key_file="~/k"), "n", None, user=False) == home / "k"
    assert key_file_of(endpoint(api_key_file="/x/k"), "n", "own", user=False) == tmp_path / "own"


def test_a_simulated_job_and_one_with_a_command_for_it_need_no_file_of_the_key(home: Path) -> None:
    simulated = Job(simulate=True)
    assert key_file_of(simulated, "n", "given", user=False) is None
    with_command = endpoint(api_key_command="pass show key")
    assert key_file_of(with_command, "n", None, user=False) is None
    assert key_file_of(with_command, "n", "/k", user=False) == Path("/k")


def test_a_variable_that_nobody_sets_is_refused() -> None:
    with pytest.raises(JobError) as refused:
        key_file_of(endpoint(api_key_env="KEY"), "n", "/k", user=False)
    assert refused.value.exit_code is ExitCode.USAGE
    assert (
        refused.value.message
        == "endpoint.api_key_env names a variable that is not set when a scheduler starts the job"
    )
    assert refused.value.fix == "take it out of the job file, and put the key into a file (--key-file)"


# Cron


def test_the_command_is_the_installed_one_without_anything_for_people(cwd: Path) -> None:
    beside = str(Path(sys.executable).with_name("imagemill"))
    command = scheduled(cwd, options=("--deadline", "06:00")).command
    assert command == [
        beside,
        "run",
        str(cwd / "j.toml"),
        "--deadline",
        "06:00",
        "--json",
        "--progress",
        "none",
    ]


def test_where_the_command_is_not_installed_the_module_is_run(
    cwd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/nothing/python3")
    assert scheduled(cwd).command[:4] == ["/usr/bin/nothing/python3", "-m", "runner", "run"]


def test_the_cron_line_is_one_line_that_a_shell_reads_as_the_same_words(tmp_path: Path) -> None:
    cwd = tmp_path / "it's 100% $HOME"
    plan = scheduled(cwd, key_file=Path("/k 1"), at=time(0, 30))
    line = cron_line(plan)
    assert line.startswith("30 0 * * * cd ")
    words = shlex.split(line.removeprefix("30 0 * * * ").replace(r"\%", "%"))
    log = str(cwd / "imagemill-j.log")
    set_key = ("--set", "endpoint.api_key_file=/k 1")
    assert words == ["cd", str(cwd), "&&", *plan.command, *set_key, ">>", log, "2>&1"]
    assert "%" not in line.replace(r"\%", "")


def test_a_cron_line_without_a_key_names_none(cwd: Path) -> None:
    assert "--set" not in cron_line(scheduled(cwd))


def test_what_cron_cannot_say_is_refused(cwd: Path) -> None:
    with pytest.raises(JobError) as refused:
        cron_line(scheduled(cwd, at=time(2, 5, 1)))
    assert (refused.value.message, refused.value.fix) == ("--at: cron knows no seconds", "--at 02:05")
    with pytest.raises(JobError) as refused:
        cron_line(scheduled(cwd, "a\nb.toml"))
    assert refused.value.message == "a path holds a line break, which a crontab cannot hold"
    assert refused.value.fix == "rename it"


def test_the_crontab_says_what_to_know_beside_the_line(cwd: Path) -> None:
    plan = scheduled(cwd)
    assert cron_text(plan).splitlines() == [
        "# imagemill, every day at 02:05. Install: crontab -e, and paste this.",
        "# No flock is needed: a run that finds another one at work ends with exit code 6.",
        cron_line(plan),
    ]
    with_key = cron_text(scheduled(cwd, key_file=Path("/k"))).splitlines()
    assert with_key[1] == "# The key is the first line of /k, readable by you alone (chmod 600)."
    assert cron_text(plan).endswith("\n")


UNBOUNDED = "Nothing ends a run by time: see --deadline and --max-duration."
SAME_FOLDER = "The manifest changes with the date, the folder does not: see {date} in `out`."


@pytest.mark.parametrize(
    ("job", "notes"),
    [
        ({}, []),
        ({"run": {}}, [UNBOUNDED]),
        ({"run": {"max_duration": 60}}, []),
        ({"manifest": "{date}.csv"}, []),
        ({"out": "runs"}, []),
        ({"manifest": "{date}.csv", "out": "runs"}, [SAME_FOLDER]),
        ({"manifest": "{date}.csv", "out": "runs", "run": {}}, [UNBOUNDED, SAME_FOLDER]),
    ],
)
def test_what_a_nightly_job_may_lack_is_noted(cwd: Path, job: dict[str, Any], notes: list[str]) -> None:
    plan = scheduled(cwd, job=job)
    service = unit_files(plan)["imagemill-j.service"]
    for text in (cron_text(plan), service):
        assert [line[2:] for line in text.splitlines() if line[2:] in (UNBOUNDED, SAME_FOLDER)] == notes


# systemd


def test_the_service(cwd: Path, home: Path) -> None:
    plan = scheduled(cwd)
    command = " ".join(plan.command)
    assert settings(plan) == {
        "Description": "imagemill: j.toml",
        "Wants": "network-online.target",
        "After": "network-online.target",
        "StartLimitIntervalSec": "6h",
        "StartLimitBurst": "4",
        "Type": "exec",
        "User": getpass.getuser(),
        "WorkingDirectory": str(cwd),
        "ExecStart": command,
        "KillSignal": "SIGTERM",
        "TimeoutStopSec": "391",
        "SuccessExitStatus": "3 8 10 129 130 143",
        "Restart": "on-failure",
        "RestartSec": "15min",
        "RestartPreventExitStatus": "2 4 6 7 9",
        "NoNewPrivileges": "yes",
        "LockPersonality": "yes",
        "RestrictSUIDSGID": "yes",
        "PrivateDevices": "yes",
        "ProtectKernelTunables": "yes",
        "ProtectKernelModules": "yes",
        "ProtectControlGroups": "yes",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
        "ProtectSystem": "strict",
        "ReadWritePaths": f"{cwd} {home}",
    }
    service = unit_files(plan)["imagemill-j.service"]
    assert service.splitlines()[0] == "# /etc/systemd/system/imagemill-j.service"
    assert "\n\n[Service]\n" in service
    assert service.endswith("\n")


def test_the_timer(cwd: Path) -> None:
    plan = scheduled(cwd, at=time(23, 5, 9))
    assert settings(plan, "timer") == {
        "Description": "imagemill every day: j.toml",
        "OnCalendar": "*-*-* 23:05:09",
        "Persistent": "true",
        "RandomizedDelaySec": "60",
        "WantedBy": "timers.target",
    }
    timer = unit_files(plan)["imagemill-j.timer"].splitlines()
    assert timer[0] == "# /etc/systemd/system/imagemill-j.timer"
    assert [line for line in timer if line.startswith("[")] == ["[Unit]", "[Timer]", "[Install]"]


def test_a_users_own_manager_needs_neither_user_nor_sandbox(cwd: Path, home: Path) -> None:
    plan = scheduled(cwd, user=True)
    assert unit_folder(plan) == home / ".config/systemd/user"
    found = settings(plan)
    assert not {"User", "ProtectSystem", "ReadWritePaths", "PrivateDevices", "PrivateTmp"} & found.keys()
    assert found["NoNewPrivileges"] == "yes"


def test_the_key_is_a_credential(cwd: Path) -> None:
    found = settings(scheduled(cwd, key_file=Path("/keys/50%")))
    assert found["LoadCredential"] == "imagemill-key:/keys/50%%"
    assert found["ExecStart"].endswith(" --json --progress none --set endpoint.api_key_file=%d/imagemill-key")


def test_a_state_folder_of_the_users_own_is_handed_on(cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cwd / "my state").mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(cwd / "my state"))
    found = settings(scheduled(cwd))
    assert found["Environment"] == f'"XDG_STATE_HOME={cwd}/my state"'
    assert found["ReadWritePaths"] == f'{cwd} "{cwd}/my state"'


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("plain", "plain"),
        ("a b", '"a b"'),
        ('say "a"', '"say \\"a\\""'),
        ("it's", '"it\'s"'),
        ("a\\b", '"a\\\\b"'),
        ("a;b", '"a;b"'),
        ("a\nb", '"a\\nb"'),
        ("$HOME", "$$HOME"),
        ("100%h", "100%%h"),
    ],
)
def test_words_are_quoted_and_nothing_in_them_is_replaced(cwd: Path, option: str, word: str) -> None:
    started = settings(scheduled(cwd, options=(option,)))["ExecStart"]
    assert started.endswith(f"/j.toml {word} --json --progress none")


def test_what_may_be_written_to_is_there_already(cwd: Path, tmp_path: Path, home: Path) -> None:
    def writable(**job: Any) -> list[str]:
        return settings(scheduled(cwd, job=job))["ReadWritePaths"].split(" ")

    assert writable() == [str(cwd), str(home)]
    (home / ".local/state").mkdir(parents=True)
    state = str(home / ".local/state")
    assert writable() == [str(cwd), state]
    (home / ".local/state/imagemill").mkdir()
    state = str(home / ".local/state/imagemill")
    assert writable() == [str(cwd), state]
    (tmp_path / "pictures/all").mkdir(parents=True)
    pictures = str(tmp_path / "pictures")
    assert writable(out=f"{pictures}/all") == [str(cwd), f"{pictures}/all", state]
    assert writable(out=f"{pictures}/new/{{date}}") == [str(cwd), pictures, state]
    assert writable(out=f"{pictures}/all/{{date}}") == [str(cwd), f"{pictures}/all", state]
    assert writable(out=f"{pictures}/all{{date}}") == [str(cwd), pictures, state]
    assert writable(out="~/all/{date}") == [str(cwd), str(home), state]
    run = {"metrics_file": f"{pictures}/m.prom"}
    assert writable(run=run) == [str(cwd), state, pictures]
    assert writable(run={"metrics_file": "m.prom"}) == [str(cwd), state]


def test_a_folder_for_temporary_files_of_its_own_hides_nothing_that_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/root of nobody")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")

    def private(cwd: str, **job: Any) -> bool:
        return "PrivateTmp" in settings(scheduled(Path(cwd), job=job))

    assert private("/srv")
    assert not private("/tmp")
    assert not private("/srv", manifest="/var/tmp/p.csv")
    assert private("/srv", manifest="/var/p.csv")
    assert not private("/srv", out="/tmp/{date}")
    monkeypatch.setattr(sys, "executable", "/tmp/venv/bin/python")
    assert not private("/srv")


def test_what_to_type(cwd: Path) -> None:
    key = cwd / "my key"
    commands = install_commands(scheduled(cwd, key_file=key))
    assert commands == [
        f"sudo install -D -m 600 /dev/stdin '{key}'    # then type the key, Enter, Ctrl-D",
        "sudo systemctl daemon-reload",
        "sudo systemctl enable --now imagemill-j.timer",
        "sudo systemctl start imagemill-j.service    # tries it now",
    ]
    key.touch()
    assert install_commands(scheduled(cwd, key_file=key)) == commands[1:]
    assert install_commands(scheduled(cwd)) == commands[1:]


def test_what_to_type_for_a_users_own_manager(cwd: Path) -> None:
    key = cwd / "key"
    assert install_commands(scheduled(cwd, key_file=key, user=True)) == [
        f"install -D -m 600 /dev/stdin {key}    # then type the key, Enter, Ctrl-D",
        "systemctl --user daemon-reload",
        "systemctl --user enable --now imagemill-j.timer",
        "systemctl --user start imagemill-j.service    # tries it now",
        "loginctl enable-linger    # so that it runs without a login",
    ]
