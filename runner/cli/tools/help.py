"""`imagemill help`: the pages of the documentation in the terminal."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from runner.cli.groups import Command
from runner.cli.options import common_options

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SECTIONS = {
    "tutorial": "Start",
    "how-to": "Do one thing",
    "reference": "Look something up",
    "explanation": "Understand",
    "contributing": "Change imagemill",
}
"""The folders of pages in reading order, and the headings of the list."""
MOST_NEAR = 3

_PAGE_LINK = re.compile(r"\[([^\]]+)\]\((?:[\w./-]*/)?([\w-]+)\.md(?:#[\w-]*)?\)")
_ANCHOR_LINK = re.compile(r"\[([^\]]+)\]\(#[\w-]+\)")
_FOR_BROWSERS = re.compile(r"^(?:<!--.*-->|!\[.*\]\(.*\))\n", re.MULTILINE)


class Page(NamedTuple):
    """One page. topic: its name for `imagemill help`. section: the folder that it is in."""

    topic: str
    section: str
    file: Traversable

    @property
    def title(self) -> str:
        """The page's first line, without its mark."""
        return self.file.read_text("utf-8").partition("\n")[0].removeprefix("# ")


def _folder() -> Traversable:
    """Where the pages are: in the installed package, else in the checkout. Raises JobError when they are in neither."""
    from importlib.resources import files

    from schemas.errors import JobError

    package = files("runner")
    packed = package / "docs"
    if packed.is_dir():
        return packed
    checkout = Path(str(package)).resolve().parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "docs").is_dir():
        return checkout / "docs"
    raise JobError("the pages are not installed", fix="install imagemill again")


def pages() -> dict[str, Page]:
    """Every page by its topic, in reading order."""
    folder = _folder()
    found = [
        Page(file.name.removesuffix(".md"), section, file)
        for section in SECTIONS
        for file in sorted((folder / section).iterdir(), key=lambda file: file.name)
        if file.name.endswith(".md")
    ]
    return {page.topic: page for page in found}


def text_of(page: Page) -> str:
    """The page for a terminal: links to other pages name their topics; images and marks are left out."""
    from html import unescape

    def named(link: re.Match[str]) -> str:
        text, topic = link.groups()
        return f"`help {topic}`" if text.lower() == topic else f"{text} (`help {topic}`)"

    text = _FOR_BROWSERS.sub("", page.file.read_text("utf-8"))
    return unescape(_ANCHOR_LINK.sub(r"\1", _PAGE_LINK.sub(named, text)))


def _show(text: str) -> None:
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text, hyperlinks=False))


def _list(found: dict[str, Page]) -> None:
    width = max(map(len, found))
    section = ""
    for page in found.values():
        if page.section != section:
            section = page.section
            click.echo(f"{SECTIONS[section]}:")
        click.echo(f"  {page.topic:<{width}}  {page.title}")
    click.echo(
        "\n`imagemill help TOPIC` opens a page, `imagemill COMMAND --help` lists the options of a command."
    )


def _command_help(name: str) -> str | None:
    """The options of a command; None when there is no command of this name."""
    root = click.get_current_context().find_root()
    assert isinstance(root.command, click.Group)
    command = root.command.get_command(root, name)
    return None if command is None else command.get_help(click.Context(command, root, name))


def _unknown(topic: str, found: dict[str, Page]) -> Exception:
    from difflib import get_close_matches

    from schemas.errors import JobError

    near = get_close_matches(topic, found, MOST_NEAR)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return JobError(f"there is no page '{topic}'", fix=f"{hint}`imagemill help` lists all pages")


def _help(**values: Any) -> int:
    from runner.cli.json_report import print_report

    found, as_json = pages(), values["as_json"]
    topic = "-".join(values["topic"]).lower().removesuffix(".md").rpartition("/")[2]
    if not topic and as_json:
        listed = [
            {"topic": page.topic, "section": page.section, "title": page.title} for page in found.values()
        ]
        print_report("help", {"topics": listed})
    elif not topic:
        _list(found)
    elif page := found.get(topic):
        if as_json:
            print_report("help", {"topic": topic, "title": page.title, "text": text_of(page)})
        else:
            _show(text_of(page))
    elif not as_json and (text := _command_help(topic)):
        click.echo(text)
    else:
        raise _unknown(topic, found)
    return 0


command = Command(
    "help",
    callback=_help,
    params=[click.Argument(["topic"], nargs=-1, metavar="[TOPIC]"), *common_options()],
    help="Open a page of the documentation, such as `imagemill help resume`; without a topic, list the pages."
    " The name of a command that has no page shows its options.",
)
