"""The real LiteLLM proxy between the command and the simulator: images arrive as they are, and refusals as refusals.

`python -m pytest -m campaign tests/stories/test_litellm.py` installs the registry's newest `litellm[proxy]` into a
virtual environment of its own, which takes about a minute and is gone afterwards; without it the tests are skipped.

As seen with LiteLLM 1.106.2 (November 2026): an error keeps its status and message, the message within LiteLLM's own
words; `code` becomes the status, `type` survives only under 400, wait headers are lost. Whatever its settings say, the
proxy sends a request up to three times when the service answers 408, 429 or 5xx, of which imagemill sees one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.canary import CANARY, WITH_CANARY
from tests.support.commandline import CommandLine, Ended, Service
from tests.support.waiting import until

pytestmark = pytest.mark.campaign

INSTALL_S = 900.0
START_S = 120.0

CONFIG = """
model_list:
  - model_name: gpt-image-2
    litellm_params:
      model: openai/gpt-image-2
      api_base: {base_url}
      api_key: os.environ/UPSTREAM_KEY
litellm_settings:
  telemetry: false
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
"""

FINAL = {
    "moderation": "moderation",
    "content_policy": "moderation",
    "bad_request": "invalid_request",
    "unknown_parameter": "invalid_request",
    "too_large": "invalid_request",
    "unprocessable": "invalid_request",
    "not_found": "not_found",
}
"""Fault kind of the simulator -> how the row ends that meets it, without being sent again."""

HALTING = ("auth", "forbidden", "quota", "billing_limit", "payment_required")
"""Fault kinds that end the run, since every other row would meet them too."""

GATEWAY = "html_504"


@pytest.fixture(scope="session")
def litellm() -> Iterator[Path]:
    """The command `litellm`."""
    with TemporaryDirectory(prefix="litellm-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(Path(folder) / "bin" / "pip"), "install", "-q", "litellm[proxy]"]
        try:
            done = subprocess.run(pip, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"litellm[proxy] was not installed in {INSTALL_S:.0f} s")
        if done.returncode != 0:
            pytest.skip(f"litellm[proxy] cannot be installed here: pip ended with {done.returncode}")
        yield Path(folder) / "bin" / "litellm"


@dataclass(frozen=True, slots=True)
class Behind:
    """The proxy's base URL, and the service that it asks."""

    base_url: str
    service: Service


@pytest.fixture(scope="module")
def behind(litellm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """A proxy with the settings that it comes with, before a simulator with a prompt for every fault (`<moderation>`)."""
    folder = tmp_path_factory.mktemp("proxy")
    faults = (f'[[fault]]\nmatch = "<{kind}>"\nkind = "{kind}"\n' for kind in (*FINAL, *HALTING, GATEWAY))
    (folder / "faults.toml").write_text("".join(faults))
    options = ("--profile", "openai", "--latency", "0", "--scenario", str(folder / "faults.toml"))
    with Service(CommandLine(folder), *options) as service:
        (folder / "config.yaml").write_text(CONFIG.format(base_url=service.base_url))
        with proxy(litellm, folder) as port:
            yield Behind(f"http://127.0.0.1:{port}/v1", service)


class proxy:
    """The proxy on a free port of this machine, for as long as the block lasts. Nothing of this machine's reaches it."""

    def __init__(self, command: Path, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "LITELLM_MASTER_KEY": CANARY,
            "UPSTREAM_KEY": f"{CANARY}-upstream",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        options = ("--config", "config.yaml", "--host", "127.0.0.1", "--port", str(self.port))
        self._log = (folder / "proxy.log").open("wb")
        self._process = subprocess.Popen(
            [command, *options, "--telemetry", "False"],
            cwd=folder,
            env=environ,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> int:
        until(self._is_alive, START_S)
        return self.port

    def _is_alive(self) -> bool:
        assert self._process.poll() is None, Path(self._log.name).read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/liveliness", timeout=5) as said:
                return bool(said.status == 200)
        except OSError:
            return False

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


def run(
    command: CommandLine,
    base_url: str,
    prompts: Mapping[str, str],
    *options: str,
    out: str = "out",
    environ: Mapping[str, str] = WITH_CANARY,
) -> Ended:
    """Run these prompts (by id) against this base URL."""
    lines = (f"{row_id},{prompt}\n" for row_id, prompt in prompts.items())
    (command.cwd / f"{out}.csv").write_text("id,prompt\n" + "".join(lines))
    fixed = (
        "--base-url",
        base_url,
        "--model",
        "gpt-image-2",
        "--size",
        "64x64",
        "--out",
        out,
        "--json",
        "-q",
    )
    return command("run", f"{out}.csv", *fixed, *options, environ=environ)


def test_every_row_succeeds_with_the_services_own_images(command: CommandLine, behind: Behind) -> None:
    prompts = {f"r{row}": f"picture {row}" for row in range(100)}
    look = ("--n", "2", "--quality", "low", "--background", "opaque", "--moderation", "low")
    options = (*look, "--output-format", "webp", "--output-compression", "60")
    through = run(command, behind.base_url, prompts, *options)
    assert (through.code, through.json["by_status"]) == (0, {"succeeded": 200}), through.err
    sent = behind.service.stats()["by_prompt"]
    assert {prompt: sent[prompt] for prompt in prompts.values()} == dict.fromkeys(prompts.values(), 1)
    straight = run(command, behind.service.base_url, prompts, *options, out="straight")
    assert straight.code == 0
    pictures = [
        [(row["row_id"], row["image_index"], row["sha256"]) for row in command.results(out)]
        for out in ("out", "straight")
    ]
    assert pictures[0] == pictures[1]


def test_refusals_arrive_as_refusals_and_are_not_sent_again(command: CommandLine, behind: Behind) -> None:
    """After the 404 the proxy rests its only deployment: rows that meet its 429 wait, and reach the service once."""
    refused = {kind: f"a fox <{kind}>" for kind in FINAL} | {"marker": "a fox [[refuse]]"}
    good = {f"r{row}": f"an owl {row}" for row in range(20)}
    ended = run(command, behind.base_url, refused | good)
    assert ended.code == 3, ended.err
    kinds = FINAL | {"marker": "moderation"}
    rows = {row["row_id"]: row for row in command.results("out")}
    assert {row_id: rows[row_id]["error_kind"] for row_id in refused} == kinds
    assert Counter(row["status"] for row in rows.values()) == {"succeeded": 20, "failed": len(refused)}
    sent = behind.service.stats()["by_prompt"]
    assert {sent[prompt] for prompt in (refused | good).values()} == {1}
    assert "drop_params" not in rows["unknown_parameter"]["error_message"]  # that field was not sent


@pytest.mark.parametrize(
    "options", [("--size", "65x64"), ("--param", "seed=5"), ("--model", "no-such-model")]
)
def test_an_invalid_request_is_one(command: CommandLine, behind: Behind, options: tuple[str, ...]) -> None:
    ended = run(command, behind.base_url, {"r": f"a boat {options[-1]}"}, *options)
    assert (ended.code, ended.json["by_error"]) == (3, {"invalid_request": 1}), ended.err
    assert ended.json["folder"]["requests_sent"] == 1


@pytest.mark.parametrize("kind", HALTING)
def test_what_every_row_would_meet_ends_the_run(command: CommandLine, behind: Behind, kind: str) -> None:
    """Also when the proxy rests its only deployment for five seconds after the test before: it says so, and is obeyed."""
    ended = run(command, behind.base_url, {f"r{row}": f"a kite {row} <{kind}>" for row in range(30)})
    assert ended.code == 4, ended.err
    assert ended.json["by_status"] == {"pending": 30}


def test_a_wrong_key_ends_the_run(command: CommandLine, behind: Behind) -> None:
    prompts = {f"r{row}": f"a harp {row}" for row in range(30)}
    wrong = {"IMAGEMILL_API_KEY": f"{CANARY}-wrong"}
    ended = run(command, behind.base_url, prompts, environ=wrong)
    assert (ended.code, ended.json["by_status"]) == (4, {"pending": 30}), ended.err
    assert not set(prompts.values()) & set(behind.service.stats()["by_prompt"])


def test_a_lost_answer_is_parked(command: CommandLine, behind: Behind) -> None:
    """It was paid for, by the proxy's own count once for each time that it asked."""
    ended = run(command, behind.base_url, {"r": f"a lamp <{GATEWAY}>"})
    assert (ended.code, ended.json["by_status"]) == (3, {"parked": 1}), ended.err
    assert ended.json["folder"]["requests_sent"] == 1
    assert behind.service.stats()["by_prompt"][f"a lamp <{GATEWAY}>"] >= 1
