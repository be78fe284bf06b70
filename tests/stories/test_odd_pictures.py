"""A service that gives out placeholders: paid for, and images all the same, so the user is told."""

from __future__ import annotations

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine
from tests.support.images import plain
from tests.support.imageservice import ImageService

ROWS = 30


def test_the_same_picture_for_every_row_is_told_while_it_comes_and_afterwards(command: CommandLine) -> None:
    (command.cwd / "prompts.csv").write_text("prompt\n" + "".join(f"fox {row}\n" for row in range(ROWS)))
    with ImageService(picture=plain("PNG")) as service:
        arguments = (
            "run",
            "prompts.csv",
            "--base-url",
            service.base_url,
            "--out",
            "out",
            "--progress",
            "plain",
        )
        ended = command(*arguments, environ=WITH_CANARY)
    assert ended.code == 0
    same = "30 rows have the same picture (images/0000/"
    blank = "30 rows have a picture of one colour: blank_image"
    for kind in ("the same picture", "a picture of one colour"):
        assert f"note: 5 rows have {kind} so far" in ended.err
    shown, read = command("status", "out"), command("status", "out", "--json").json["warnings"]
    for text in (ended.out, shown.out, " ".join(warning["message"] for warning in read)):
        assert same in text and blank in text
    assert [(warning["kind"], warning["rows"]) for warning in read] == [
        ("duplicate_image", ROWS),
        ("blank_image", ROWS),
    ]
    assert {*command.results("out")[0]["flags"]} >= {"blank_image", "duplicate_image"}


def test_pictures_that_differ_are_nothing_to_tell(command: CommandLine) -> None:
    (command.cwd / "prompts.csv").write_text("prompt\nfox\nowl\n")
    ended = command("run", "prompts.csv", "--simulate", "--out", "out", "--json", "-q")
    assert (ended.code, ended.json["warnings"]) == (0, [])
