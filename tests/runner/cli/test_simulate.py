"""`imagemill simulate` as a server of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from runner.simulator.faults.kinds import KINDS
from tests.canary import CANARY


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


def test_the_faults_are_listed(imagemill: Any) -> None:
    assert [
        fault["name"] for fault in imagemill("simulate", "--list-faults", "--json").json["faults"]
    ] == list(KINDS)
    lines = imagemill("simulate", "--list-faults").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(KINDS)
