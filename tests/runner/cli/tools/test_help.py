"""`imagemill help`: the pages of the documentation, from the checkout and from an installed package."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.runner.cli.conftest import Imagemill
from tests.support.commandline import on_a_terminal


def test_the_list_names_every_page(imagemill: Imagemill, checkout: Path) -> None:
    done = imagemill("help")
    listed = re.findall(r"^  ([a-z-]+)  +(.+)$", done.out, re.MULTILINE)
    written = {
        (page.stem, page.read_text("utf-8").splitlines()[0].removeprefix("# "))
        for page in (checkout / "docs").glob("*/*.md")
    }
    assert (done.code, done.err, len(listed), set(listed)) == (0, "", len(written), written)
    assert listed[0][0] == "first-batch"


@pytest.mark.parametrize(
    "words", [("exit-codes",), ("exit", "codes"), ("reference/exit-codes.md",), ("EXIT-CODES",)]
)
def test_a_page_is_plain_text_in_a_pipe(imagemill: Imagemill, words: tuple[str, ...]) -> None:
    done = imagemill("help", *words)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("# Exit codes\n")
    assert "| 8 | budget reached" in done.out
    assert "<!--" not in done.out and "\x1b" not in done.out


def test_links_name_topics_and_pictures_are_left_out(imagemill: Imagemill) -> None:
    page = imagemill("help", "first-batch").out
    assert "Rehearse failures (`help rehearse`)" in page
    assert "](" not in page and "quickstart.png" not in page
    assert "<manifest name>" in imagemill("help", "cli").out


def test_a_page_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = on_a_terminal("help", "exit-codes")
    assert "\x1b[" in shown and "Exit codes" in shown
    assert "# Exit codes" not in shown and "| --- |" not in shown


def test_an_unknown_topic_names_the_nearest(imagemill: Imagemill) -> None:
    done = imagemill("help", "resme")
    assert (done.code, done.out) == (2, "")
    assert "error: there is no page 'resme'" in done.err
    assert "did you mean resume?" in done.err
    assert "did you mean" not in imagemill("help", "xyzzy").err


def test_a_command_without_a_page_shows_its_options(imagemill: Imagemill) -> None:
    assert imagemill("help", "verify").out == imagemill("verify", "--help").out


def test_json(imagemill: Imagemill) -> None:
    listed = imagemill("help", "--json").json["topics"]
    assert {"topic": "resume", "section": "how-to", "title": "Resume"} in listed
    page = imagemill("help", "resume", "--json").json
    assert (page["topic"], page["title"]) == ("resume", "Resume")
    assert page["text"] == imagemill("help", "resume").out
    assert imagemill("help", "verify", "--json").json["exit_code"] == 2


def test_the_pages_of_an_installed_package_come_first(
    imagemill: Imagemill, checkout: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site-packages"
    for package in ("schemas", "jobs", "runner"):
        shutil.copytree(
            checkout / package, site / package, ignore=shutil.ignore_patterns("__pycache__", "simulator")
        )
    start = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from runner.cli.main import main; sys.exit(main())"
    )
    assert "the pages are not installed" in imagemill("help", program=(sys.executable, "-c", start)).err
    shutil.copytree(checkout / "docs", site / "runner/docs")
    (site / "runner/docs/how-to/resume.md").write_text("# Resume, as installed\n")
    done = imagemill("help", "resume", program=(sys.executable, "-c", start))
    assert (done.code, done.out) == (0, "# Resume, as installed\n"), done.err
