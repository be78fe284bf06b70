"""Reports for people hold every figure, and nothing in them is read as markup or reaches the terminal raw."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from runner.cli.console import print_facts, print_json
from runner.cli.lines.plan import plan_facts
from schemas.reports import CostRange, Plan, RunWarning

PLAN = Plan(
    1000,
    800,
    400,
    90,
    7,
    1,
    CostRange(4.8, 168.8, "list prices"),
    780.0,
    "rpm",
    (RunWarning("row", "odd model", 3),),
)


def test_a_plan() -> None:
    assert dict(plan_facts(PLAN)) == {
        "rows": "1,000",
        "to make": "800 images in 400 requests",
        "done": "90 rows",
        "invalid": "7 rows",
        "parked": "1 row",
        "cost": "$4.80 to $168.80 (list prices)",
        "time": "about 13 min, bound by rpm",
        "warning": "odd model (3 rows)",
    }


def test_a_plan_without_a_price_and_with_nothing_to_send() -> None:
    plan = replace(PLAN, cost_usd=CostRange(None, None, ""), requests=0, images=0, warnings=())
    facts = dict(plan_facts(plan))
    assert facts["cost"] == "nothing to send"
    assert facts["time"] == "nothing to send"


@pytest.mark.parametrize("terminal", [False, True])
def test_lines_are_harmless(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    print_facts([("next", "[red]x[/red] \x1b]0;title\x07"), ("cost", "https://h/a?sig=1")])
    out = capsys.readouterr().out
    assert "[red]x[/red] \\x1b]0;title\\x07" in out
    assert "sig=1" not in out
    assert "\x1b]" not in out


def test_json_keeps_data_and_drops_signatures(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"out": "a\x1b\n東", "next": ["https://h/a?sig=1"], "n": None})
    out = capsys.readouterr().out
    assert json.loads(out) == {"out": "a\x1b\n東", "next": ["https://h/a?…"], "n": None}
    assert (out.count("\n"), out.isascii()) == (1, True)
