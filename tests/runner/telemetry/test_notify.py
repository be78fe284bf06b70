"""Who is told of a run: dead-man's switch, messages, metrics; over real HTTP, and with everything of it broken."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tomllib

import pytest

from tests.support.audience import closed_port, figures, post
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine
from tests.support.servedjob import HANG_S, served_job
from tests.support.waiting import until

TOKEN = "5f1c7a90-3bd2-4e18-a6c4-0d9e8b7f6a51"
SIMULATED = ("--simulate", "--set", "simulator.latency=0", "--size", "64x64", "--progress", "none")


@pytest.fixture
def manifest(command: CommandLine) -> str:
    (command.cwd / "p.csv").write_text("prompt\na fox\na [[refuse]]\n")
    return "p.csv"


def test_people_and_the_switch_are_told_and_their_urls_kept_secret(
    command: CommandLine, manifest: str
) -> None:
    """G14: the URLs are in no file and in no output."""
    pytest.importorskip("apprise")
    with post() as office:
        options = (
            *("--notify", "env:NOTIFY", "--notify", f"json://127.0.0.1:{office.port}/{TOKEN}/two"),
            *("--ping-url", f"http://127.0.0.1:{office.port}/{TOKEN}?a=1"),
        )
        environ = {"NOTIFY": f"json://127.0.0.1:{office.port}/{TOKEN}/one"}
        failed = command("run", manifest, *SIMULATED, *options, environ=environ)
        assert failed.code == 3
        assert office.taken[0] == (f"/{TOKEN}/start?a=1", "")
        messages = {path: json.loads(body) for path, body in office.taken if body.startswith("{")}
        assert sorted(messages) == [f"/{TOKEN}/one", f"/{TOKEN}/two"]
        message = messages[f"/{TOKEN}/one"]
        assert (message["title"], message["type"]) == ("imagemill p: exit code 3", "failure")
        assert "all 2 rows (2 images): 1 succeeded, 1 failed" in message["message"]
        assert (f"/{TOKEN}/3?a=1", "finished: 1 failed") in office.taken

        office.taken.clear()
        good = command("run", manifest, *SIMULATED, *options, "--limit", "1", "--out", "g", environ=environ)
        assert good.code == 0
        assert office.taken == [
            (f"/{TOKEN}/start?a=1", ""),
            (f"/{TOKEN}?a=1", "every row succeeded"),
        ]
    written = [path for path in command.cwd.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
    assert TOKEN not in failed.out + failed.err + good.out + good.err
    assert tomllib.loads((command.cwd / "runs/p/job.toml").read_text())["notify"]["urls"] == ["env:NOTIFY"]


def test_nobody_there_is_a_warning(command: CommandLine, manifest: str) -> None:
    pytest.importorskip("apprise")
    pytest.importorskip("prometheus_client")
    port = closed_port()
    ended = command(
        *("run", manifest, *SIMULATED, "--limit", "1", "--json", "--set", "notify.on=always"),
        *("--notify", f"json://127.0.0.1:{port}/{TOKEN}", "--ping-url", f"http://127.0.0.1:{port}/{TOKEN}"),
        *("--metrics-file", "no/such/folder/m.prom"),
    )
    assert (ended.code, ended.json["exit_code"], len(ended.out.splitlines())) == (0, 0, 1)
    for told in ("notify URL 1 of 1: ", "run.ping_url: ", "the metrics file ", "No such file or directory"):
        assert told in ended.err
    assert TOKEN not in ended.err


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--notify", "env:NOBODY"), "notify.urls: the variable NOBODY is not set"),
        (("--notify", f"nosuch://{TOKEN}"), "notify URL 1 of 1 is none that apprise knows"),
        (("--ping-url", "env:HOME"), "run.ping_url is no http or https URL"),
    ],
)
def test_urls_that_cannot_be_used(
    command: CommandLine, manifest: str, option: tuple[str, str], told: str
) -> None:
    pytest.importorskip("apprise")
    ended = command("run", manifest, *SIMULATED, *option)
    assert (ended.code, TOKEN in ended.err) == (2, False)
    assert told in ended.err
    assert not (command.cwd / "runs").exists()


@pytest.mark.parametrize(
    ("package", "extra", "option"),
    [
        ("apprise", "notify", ("--notify", "json://x")),
        ("prometheus_client", "metrics", ("--metrics-file", "m")),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    command: CommandLine, manifest: str, package: str, extra: str, option: tuple[str, str]
) -> None:
    start = f"import sys; sys.modules[{package!r}] = None; from runner.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", start, "run", manifest, *SIMULATED, *option],
        cwd=command.cwd,
        env=command.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, f"pip install 'imagemill[{extra}]'" in done.stderr) == (2, True)


def test_metrics_before_during_and_after(command: CommandLine) -> None:
    pytest.importorskip("prometheus_client")
    file = command.cwd / "m.prom"
    with served_job(command, "--latency", "0", rows=4, stuck=2) as job:
        options = ("--metrics-file", str(file), "--price", "0.5", "--drain", "0")
        before = ("run", "prompts.csv", *SIMULATED, "--limit", "1", "--out", "before")
        assert command(*before, "--metrics-file", str(file)).code == 0
        going = job.start(*options, "--concurrency", "4")
        job.reach(4)
        until(lambda: figures(file)["imagemill_running"] == 1)
        assert figures(file)["imagemill_last_run_images_saved"] == 1
        until(lambda: len(list((command.cwd / "out/images").rglob("*.png"))) == 2)
        going.send_signal(signal.SIGTERM)
        going.communicate(timeout=HANG_S)
        seen = figures(file)
    assert (seen["imagemill_running"], seen["imagemill_last_run_exit_code"]) == (0, 143)
    assert seen["imagemill_manifest_images:parked"] == seen["imagemill_manifest_errors:interrupted"] == 2
    assert (seen["imagemill_last_run_requests_sent"], seen["imagemill_last_run_maybe_billed"]) == (4, 2)
    assert (seen["imagemill_last_run_images_saved"], seen["imagemill_last_run_cost_usd"]) == (2, 1.0)
    assert [path.name for path in command.cwd.glob("m.prom*")] == ["m.prom"]


def test_the_run_that_holds_the_lock_keeps_its_metrics(command: CommandLine) -> None:
    pytest.importorskip("prometheus_client")
    with served_job(command, "--latency", "0", rows=1, stuck=1) as job:
        going = job.start("--metrics-file", "m.prom")
        job.reach(1)
        before = (command.cwd / "m.prom").read_bytes()
        assert command(*job.arguments("--metrics-file", "m.prom"), environ=WITH_CANARY).code == 6
        assert (command.cwd / "m.prom").read_bytes() == before
        going.kill()
        going.communicate(timeout=HANG_S)
