"""The pages of the documentation, and the fenced blocks on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
README = CHECKOUT / "README.md"
DOCS = CHECKOUT / "docs"
PAGES = (README, *sorted(DOCS.rglob("*.md")))


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return page.relative_to(CHECKOUT).as_posix()


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. line: of its first line of content. section: the heading above it.

    shown: the `text` block directly below it, which is what it prints; "" where there is none.
    """

    kind: str
    line: int
    section: str
    text: str
    shown: str = ""


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page in order."""
    found = list(_fenced(text))
    for block, below in zip(found, [*found[1:], None], strict=False):
        if below is not None and below.kind == "text":
            yield replace(block, shown=below.text)
        else:
            yield block


def _fenced(text: str) -> Iterator[Block]:
    section, kind, first, held = "", None, 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if kind is None and line.startswith("```"):
            kind, first, held = line[3:], number + 1, []
        elif kind is not None and line == "```":
            yield Block(kind, first, section, "\n".join(held))
            kind = None
        elif kind is not None:
            held.append(line)
        elif line.startswith("#"):
            section = line


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a `console` block. output: the lines that the page shows below it."""

    line: int
    text: str
    exit_code: int
    output: tuple[str, ...]


def console_commands(block: Block) -> list[Command]:
    """The commands of a `console` block. Raises ValueError for a block that begins with output."""
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("$ "):
            found.append((number, line[2:], []))
        elif found:
            found[-1][2].append(line)
        else:
            raise ValueError(f"line {number}: a console block begins with `$ ` and a command")
    commands = []
    for number, text, output in found:
        code = re.search(r"# exit code (\d+)$", text)
        commands.append(Command(number, text, int(code[1]) if code else 0, tuple(output)))
    return commands
