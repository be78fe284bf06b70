"""`imagemill simulate` as a server of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from runner.simulator.faults.kinds import KINDS
from tests.runner.cli.conftest import Imagemill
from tests.support.canary import CANARY


def test_the_first_line_is_the_base_url_and_the_last_the_object(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("imagemill")), "simulate", "--latency", "0", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            name, _, url = process.stdout.readline().strip().partition("=")
            body = json.dumps({"prompt": "a fox", "model": "gpt-image-2-official"}).encode()
            headers = {"Authorization": f"Bearer {CANARY}", "Content-Type": "application/json"}
            with urlopen(Request(f"{url}/images/generations", body, headers)) as answer:
                document = json.load(answer)
        finally:
            process.send_signal(signal.SIGINT)
        last = process.stdout.read().splitlines()
    assert (name, len(document["data"]), process.returncode) == ("base_url", 1, 0)
    assert [json.loads(line)["exit_code"] for line in last] == [0]


def asked(tmp_path: Path, *options: str) -> tuple[str, str]:
    """What stderr says of a simulator that was asked with curl's line of it, and what that line gave."""
    command = [str(Path(sys.executable).with_name("imagemill")), "simulate", "--latency", "0", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline().startswith("base_url=")
            said = ""
            while "figures" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            shown = said.partition("try it")[2].partition("\nrun ")[0]
            curl = subprocess.run(["bash", "-c", f"{shown} -sS"], capture_output=True, text=True, check=False)
            page = said.partition("figures")[2].split()[0]
            with urlopen(page) as answer:
                assert "<td>requests for images<td>1" in answer.read().decode()
        finally:
            process.send_signal(signal.SIGTERM)
        said += process.stderr.read()
    assert (process.returncode, curl.stderr) == (0, "")
    return said, curl.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize(
    ("options", "form"),
    [((), "url"), (("--profile", "openai"), "b64_json"), (("--dialect", "azure"), "b64_json")],
)
def test_it_says_how_to_ask_it_and_what_it_was_asked(tmp_path: Path, options: list[str], form: str) -> None:
    said, answer = asked(tmp_path, *options)
    assert set(json.loads(answer)["data"][0]) >= {form}
    assert said.splitlines()[-1] == "1 request: 1 image that the service would charge for"
    assert ("imagemill simulate --profile openai" in said) is (form == "url")


def test_quiet_says_nothing(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("imagemill")), "simulate", "-q"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert (first.partition("=")[0], *process.communicate()) == ("base_url", "", "")


def test_a_latency_in_letters_is_refused_in_plain_words(imagemill: Imagemill) -> None:
    ended = imagemill("simulate", "--latency", "x")
    assert ended.code == 2
    assert "error: Invalid value for '--latency': 'x' is not a number" in ended.err


def test_the_faults_are_listed(imagemill: Imagemill) -> None:
    assert [
        fault["name"] for fault in imagemill("simulate", "--list-faults", "--json").json["faults"]
    ] == list(KINDS)
    lines = imagemill("simulate", "--list-faults").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(KINDS)
