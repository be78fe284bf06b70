"""A scenario file is read strictly: every mistake at once, each with the nearest valid name."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.simulator.answers.document import Latency
from runner.simulator.config import SimulatorConfig
from runner.simulator.faults.kinds import KINDS, Fault
from runner.simulator.options import configure
from runner.simulator.sliding_window import Limits
from runner.simulator.timetable import Timetable
from schemas.errors import ExitCode, JobError

CONTRACT = """
seed = 7
latency = { median = 0.2, p95 = 0.6 }       # seconds
limits = { rpm = 600, ipm = 600 }
[[fault]]
match = "castle"                             # a regular expression over the prompt
kind = "moderation"
times = 1
"""


def read(folder: Path, text: str) -> SimulatorConfig:
    path = folder / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return configure(scenario=path)


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(JobError) as caught:
        read(folder, text)
    assert caught.value.exit_code is ExitCode.USAGE
    return [line.strip() for line in caught.value.message.splitlines()]


def test_the_contracts_example(tmp_path: Path) -> None:
    config = read(tmp_path, CONTRACT)
    assert (config.seed, config.latency, config.limits) == (7, Latency(0.2, 0.6), Limits(600, 600))
    (fault,) = config.faults
    assert fault.match is not None
    assert (fault.kind, fault.match.pattern, fault.times) == ("moderation", "castle", 1)


def test_defaults_and_units(tmp_path: Path) -> None:
    assert read(tmp_path, "") == SimulatorConfig()
    config = read(tmp_path, "profile='openai'\nlatency={median='200ms'}\nlimits={window_s='2m'}\n")
    assert (config.profile, config.latency, config.limits.window_s) == ("openai", Latency(0.2, 0.5), 120)
    faults = read(
        tmp_path, "[[fault]]\nrows=[3,4]\nkind='hang'\n[[fault]]\nshare=0.05\nkind='slow'\ndelay='3s'"
    ).faults
    assert faults == (Fault("hang", rows=frozenset({3, 4})), Fault("slow", share=0.05, delay=3.0))


def test_what_changes_with_time(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        limits = { rpm = 100, ipm = 300, window_s = 1, announced = false, hints = false }
        limits_change = [{ after = "1m", rpm = 50 }, { after = 30, ipm = 200 }]
        outage = [{ after = 5, seconds = "10s", kind = "overloaded", retry_after = 2 }]
        """,
    )
    table = Timetable(config.limits, config.limits_changes, config.outages)
    assert table.limits_at(0) == Limits(100, 300, 1, announced=False, hints=False)
    assert [(table.limits_at(at).rpm, table.limits_at(at).ipm) for at in (29, 30, 60)] == [
        (100, 300),
        (100, 200),
        (50, 200),
    ]
    down = Fault("overloaded", retry_after=2)
    assert [table.outage_at(at) for at in (4.9, 5, 14.9, 15)] == [None, down, down, None]


def test_every_mistake_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        """
        sed = 7
        latency = { median = 0.5, p95 = 0.1, mean = 3 }
        limits = { rpm = -1, ipm = "many" }
        profile = "dieyuyum"
        [[fault]]
        match = "castle("
        kind = "moderatoin"
        [[fault]]
        kind = "truncate"
        rows = [-1]
        share = 2
        at_bite = 7
        retry_after = 3
        [[fault]]
        kind = "quota"
        times = 0
        """,
    )
    assert found[0].endswith("scenario.toml: 15 mistakes")
    for expected in (
        "sed: unknown key; did you mean 'seed'?",
        "latency.mean: unknown key; did you mean 'median'?",
        "latency.p95: 0.1 is below the median, 0.5",
        "limits.rpm: must be above 0",
        "limits.ipm: must be a number",
        "profile: unknown profile 'dieyuyum'; did you mean 'dieyuyun'?",
        "fault[0].kind: unknown kind 'moderatoin'; did you mean 'moderation'?",
        "fault[1].at_bite: unknown key; did you mean 'at_byte'?",
        "fault[1]: needs exactly one of match, rows, share; has rows and share",
        "fault[1].retry_after: kind 'truncate' takes no such parameter, only at_byte, delay, billed",
        "fault[1].rows[0]: must be 0 or more",
        "fault[1].share: must be 1 at most",
        "fault[2]: needs exactly one of match, rows, share; has none",
        "fault[2].times: must be 1 or more",
    ):
        assert expected in found
    assert any(line.startswith("fault[0].match: not a regular expression") for line in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed = ", "not TOML"),
        ("fault = 3", "fault: must be a list"),
        ("fault = [3]", "fault[0]: must be a table"),
        ("latency = 3", "latency: must be a table"),
        ("[[fault]]\nmatch = 'x'", "fault[0].kind: is missing"),
        ("[[fault]]\nmatch = 'x'\nkind = 3", "fault[0].kind: must be text"),
        ("[[fault]]\nmatch = 'x'\nkind = 'zzzz'", "valid: moderation, content_policy"),
        (
            "[[fault]]\nmatch = 'x'\nkind = 'wrong_format'\nformat = 'heic'",
            "fault[0].format: must be 'png'",
        ),
        ("[[limits_change]]\nafter = 3", "limits_change[0]: needs rpm or ipm"),
        ("[[limits_change]]\nrpm = 3", "limits_change[0].after: is missing"),
        ("[[limits_change]]\nafter = 1\nrmp = 3", "limits_change[0].rmp: unknown key; did you mean 'rpm'?"),
        ("[[outage]]\nafter = 1\nseconds = 0\nkind = 'overloaded'", "outage[0].seconds: must be above 0"),
        ("[[outage]]\nafter = 1\nseconds = 9\nkind = 'drip'", "outage[0].kind: 'drip' is no kind of outage"),
        (
            "[[outage]]\nafter = 1\nseconds = 9\nkind = 'html_502'\nretry_after = 1",
            "outage[0].retry_after: kind 'html_502' takes no such parameter",
        ),
        ("limits = { announced = 1 }", "limits.announced: must be true or false"),
        ("seed = true", "seed: must be a whole number"),
        ("limits = { rpm = inf }", "limits.rpm: must be a finite number"),
    ],
)
def test_single_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in "\n".join(mistakes(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="No such file"):
        configure(scenario=tmp_path / "none.toml")


def test_every_kind_can_be_written(tmp_path: Path) -> None:
    text = "\n".join(f"[[fault]]\nmatch = 'x'\nkind = '{name}'\ndelay = 1\nbilled = false" for name in KINDS)
    assert [fault.kind for fault in read(tmp_path, text).faults] == list(KINDS)
