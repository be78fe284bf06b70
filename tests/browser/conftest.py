"""A real browser: Debian's chromium, driven by Playwright. Tests are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@dataclass
class Opened:
    """A page with all that went wrong on it. left: requests that would have gone somewhere else than this disk."""

    page: Page
    errors: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def quiet(self) -> bool:
        """Whether no error was written and no request left."""
        return not self.errors and not self.left


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser, headless. Of one module: while Playwright runs, no other test of this process can run an event loop."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=arguments)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a page from the disk and waits until all its rows are read. Options are those of a Playwright context."""
    contexts = []

    def opened(path: Path, view: str = "", **options: Any) -> Opened:
        options = {"viewport": {"width": 1300, "height": 850}} | options
        context = browser.new_context(**options)
        contexts.append(context)
        made = Opened(context.new_page())
        made.page.on("console", lambda said: made.errors.append(said.text) if said.type == "error" else None)
        made.page.on("pageerror", lambda error: made.errors.append(str(error)))
        made.page.on(
            "request",
            lambda sent: (
                None if sent.url.startswith(("file:", "data:", "blob:")) else made.left.append(sent.url)
            ),
        )
        made.page.goto(path.absolute().as_uri() + (f"#{view}" if view else ""))
        made.page.wait_for_selector("html[data-ready]", state="attached")
        return made

    yield opened
    for context in contexts:
        context.close()
