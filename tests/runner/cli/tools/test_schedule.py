"""What `imagemill schedule` prints: units that systemd takes, and a cron line that runs without profile or terminal."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commandline import CommandLine, Ended

JOB = 'manifest = "p.csv"\nout = "runs/{date}"\n[run]\ndrain = "90s"\n[request]\nsize = "64x64"\n'
SIMULATED = "simulate = true\nsimulator = { latency = 0 }\n"
ODD = "it's 100% $HOME"
"""A folder's name that shells, cron and systemd each read in their own way."""


@pytest.fixture
def odd(tmp_path: Path) -> CommandLine:
    folder = tmp_path / ODD
    folder.mkdir()
    (folder / "p.csv").write_text("prompt\na fox\n")
    return CommandLine(folder)


def scheduled(command: CommandLine, job: str, *options: str) -> Ended:
    (command.cwd / "a job.toml").write_text(job)
    done = command("schedule", "a job.toml", "--at", "2:05", *options)
    assert done.code == 0, done.err
    return done


def test_the_cron_line_runs_in_a_minimal_environment(odd: CommandLine) -> None:
    line = scheduled(odd, SIMULATED + JOB, "--cron", "--deadline", "06:00", "--json").json["line"]
    when, command_text = line[:9], line[10:]
    assert (when, "%" in command_text.replace(r"\%", "")) == ("5 2 * * *", False)
    done = subprocess.run(
        [
            "env",
            "-i",
            f"HOME={odd.cwd}",
            "PATH=/usr/bin:/bin",
            "SHELL=/bin/sh",
            "sh",
            "-c",
            command_text.replace(r"\%", "%"),
        ],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    log = (odd.cwd / "imagemill-a-job.log").read_text()
    assert (done.returncode, done.stdout, done.stderr, '"exit_code": 0' in log) == (0, "", "", True), log
    assert len(list(odd.cwd.glob("runs/*/results.parquet"))) == 1


def test_the_cron_line_takes_the_key_from_a_file(odd: CommandLine) -> None:
    text = scheduled(odd, JOB, "--cron", "--key-file", "k").out
    assert f"# The key is the first line of {odd.cwd / 'k'}, readable by you alone" in text
    assert "endpoint.api_key_file=" in text.splitlines()[-1]


@pytest.mark.parametrize("manager", ["system", "user"])
def test_systemd_takes_the_units(odd: CommandLine, tmp_path: Path, manager: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed here (Debian: apt-get install systemd)")
    user = ("--user",) if manager == "user" else ()
    odd_job = JOB.replace("runs/{date}", f"{tmp_path}/not/there/{{date}}")
    scheduled(odd, odd_job, "--systemd", "--into", ".", *user, "--metrics-file", "m.prom")
    units = [str(odd.cwd / f"imagemill-a-job.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(
        [analyze, f"--{manager}", "verify", *units],
        env={**odd.environ(), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "imagemill-a-job" in line]
    assert (ours, done.returncode) == ([], 0), done.stderr


def test_systemd_analyze_would_complain(odd: CommandLine) -> None:
    """The check above can fail: a unit with a setting misspelt does."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed here (Debian: apt-get install systemd)")
    scheduled(odd, SIMULATED + JOB, "--systemd", "--into", ".", "--name", "wrong")
    unit = odd.cwd / "wrong.service"
    unit.write_text(unit.read_text().replace("KillSignal=SIGTERM", "KillSignal=SIGNOTHING"))
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "wrong.service" in done.stderr


def test_the_service_says_what_systemd_must_know(odd: CommandLine) -> None:
    printed = scheduled(odd, JOB, "--systemd", "--deadline", "06:00", "--json").json
    service = printed["files"]["imagemill-a-job.service"]
    settings = dict(line.split("=", 1) for line in service.splitlines() if line[:1].isalpha())
    folder = str(odd.cwd).replace("%", "%%")
    assert settings["WorkingDirectory"] == folder
    assert f'run "{folder.replace("$", "$$")}/a job.toml" --deadline 06:00' in settings["ExecStart"]
    assert settings["ExecStart"].endswith("--set endpoint.api_key_file=%d/imagemill-key")
    assert settings["LoadCredential"] == "imagemill-key:/etc/imagemill/imagemill-a-job.key"
    assert int(settings["TimeoutStopSec"]) > 90
    assert settings["SuccessExitStatus"] == "3 8 10 129 130 143"
    assert settings["RestartPreventExitStatus"] == "2 4 6 7 9"
    assert settings["ReadWritePaths"].startswith(f'"{folder}"')
    assert "OnCalendar=*-*-* 02:05:00\n" in printed["files"]["imagemill-a-job.timer"]
    assert "Persistent=true" in printed["files"]["imagemill-a-job.timer"]


def test_a_setting_without_a_value_is_left_out_with_its_comments(odd: CommandLine) -> None:
    printed = scheduled(odd, SIMULATED + JOB, "--systemd", "--user", "--json").json
    service = printed["files"]["imagemill-a-job.service"]
    assert [line for line in service.splitlines() if line.endswith("=") or "${" in line] == []
    assert ("# The key" in service, "User=" in service, "ProtectSystem" in service) == (False, False, False)
    assert "KillSignal=SIGTERM" in service


@pytest.mark.parametrize(
    ("job", "options", "told"),
    [
        (JOB, ("--at", "24:30", "--cron"), "--at 24:30: not a time of day"),
        (JOB, ("--at", "noon", "--systemd"), "--at noon: not a time of day"),
        (JOB, ("--at", "02:00:30", "--cron"), "cron knows no seconds"),
        (JOB, ("--at", "02:00"), "name one of --systemd and --cron"),
        (JOB, ("--at", "02:00", "--cron", "--deadline", "25:00"), "--deadline"),
        (JOB, ("--at", "02:00", "--systemd", "--into", "nowhere"), "no folder that can be written to"),
        (JOB.replace("p.csv", ""), ("--at", "02:00", "--systemd", "--name", "a/b"), "--name takes letters"),
        (JOB + "[endpoint]\napi_key_env = 'KEY'\n", ("--at", "2:00", "--cron"), "endpoint.api_key_env names"),
    ],
)
def test_mistakes(odd: CommandLine, job: str, options: tuple[str, ...], told: str) -> None:
    (odd.cwd / "j.toml").write_text(job)
    done = odd("schedule", "j.toml", *options, "--json")
    assert (done.code, done.json["exit_code"], told in done.err) == (2, 2, True), done.err
