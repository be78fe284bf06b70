"""Images whose check takes minutes, and images that no check can take: what becomes of the run and of what was paid."""

from __future__ import annotations

import base64
import functools
import json
import os
import signal
import subprocess

import pytest

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine
from tests.support.images import header, jpeg_of_scans, mpo, png
from tests.support.imageservice import ImageService
from tests.support.processes import busy_s, children
from tests.support.servedjob import last_object
from tests.support.waiting import until

END_S = 15.0
"""Long for a busy machine, and short beside the 20 s of CPU, and the minute, that a check may take."""


@functools.cache
def endless() -> bytes:
    """Minutes of scans in two megabytes."""
    return jpeg_of_scans(4000, 20_000)


def arguments(service: ImageService, rows: int, *options: str) -> tuple[str, ...]:
    """`run` of so many rows."""
    return (
        *("run", "prompts.csv", "--base-url", service.base_url, "--out", "out", "--price", "0.04", "--json"),
        *("-q", "--limit", str(rows), *options),
    )


@pytest.fixture
def command(command: CommandLine) -> CommandLine:
    """With a manifest."""
    (command.cwd / "prompts.csv").write_text("prompt\n" + "".join(f"fox {row}\n" for row in range(60)))
    return command


def quarantined(command: CommandLine) -> list[bytes]:
    """The images in the bodies that were kept."""
    kept = [json.loads(path.read_bytes()) for path in (command.cwd / "out/quarantine").iterdir()]
    return [base64.b64decode(document["data"][0]["b64_json"]) for document in kept]


@pytest.mark.parametrize("frozen", [False, True])
def test_two_ctrl_c_end_a_run_while_an_image_is_checked_for_minutes(
    command: CommandLine, frozen: bool
) -> None:
    """G12, also while the process of the check is stopped. The answers were paid for, and are kept."""
    with ImageService(picture=endless()) as service:
        process = command.start(*arguments(service, 3), environ=WITH_CANARY)
        until(lambda: len(service.seen) == 3 and len(children(process.pid)) == 1)
        (check,) = children(process.pid)
        until(lambda: busy_s(check) > 0.3)
        if frozen:
            os.kill(check, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):  # the first drains, and awaits the check
            process.wait(timeout=1)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=END_S)
        summary = last_object(process)
    assert (summary["exit_code"], summary["by_status"], summary["maybe_billed"]) == (130, {"failed": 3}, 3)
    assert quarantined(command) == [endless()] * 3
    messages = {row["error_message"] for row in command.results("out")}
    assert messages == {"the image could not be checked before the run was cut short"}


def test_the_drain_ends_a_check_too(command: CommandLine) -> None:
    with ImageService(picture=endless()) as service:
        process = command.start(
            *arguments(service, 1, "--drain", "1s", "--max-duration", "2s"), environ=WITH_CANARY
        )
        process.wait(timeout=END_S)
        assert last_object(process)["exit_code"] == 10
    assert quarantined(command) == [endless()]


@pytest.mark.parametrize("rows", [3, 60])
def test_a_jpeg_with_a_second_picture_is_an_image(command: CommandLine, rows: int) -> None:
    """Alone and among many that are saved together; Pillow calls it MPO."""
    with ImageService(picture=mpo()) as service:
        ended = command(*arguments(service, rows, "--concurrency", "50"), environ=WITH_CANARY)
    assert (ended.code, ended.json["by_status"]) == (0, {"succeeded": rows})
    first = command.results("out")[0]
    assert (first["format"], first["file_name"][-4:]) == ("jpeg", ".jpg")
    assert (command.cwd / "out" / first["file_name"]).read_bytes() == mpo()


@pytest.mark.parametrize(("setting", "code"), [("decode", 3), ("structure", 0)])
def test_right_checksums_make_no_image(command: CommandLine, setting: str, code: int) -> None:
    """Unless the user wants no more than those; then `verify --decode` tells."""
    broken = png(header(64, 64), [b"not a zlib stream"])
    with ImageService(picture=broken) as service:
        ended = command(*arguments(service, 2, "--set", f"output.check={setting}"), environ=WITH_CANARY)
    assert ended.code == code
    assert command("verify", "out").code == 0
    seen = command("verify", "out", "--decode", "--json")
    if setting == "decode":
        assert (ended.json["by_error"], quarantined(command)) == ({"bad_content": 2}, [broken] * 2)
        assert seen.code == 0
    else:
        assert seen.code == 7
        assert {"does not decode" in problem["problem"] for problem in seen.json["problems"]} == {True}
