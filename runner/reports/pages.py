"""The page itself: HTML with a strict Content-Security-Policy, its scripts and styles, as files or in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from importlib.resources import files

STYLES = ("base.css", "grid.css", "detail.css")
SCRIPTS = (
    *("dom.js", "store.js", "filters.js", "picks.js", "overview.js", "grid.js", "words.js", "detail.js"),
    *("compare.js", "app.js"),
)
_POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {styles}; img-src {images}; "
    "base-uri 'none'; form-action 'none'"
)


def asset(name: str) -> str:
    """The text of a script or style of ours."""
    return files("runner.reports").joinpath("assets", name).read_text("utf-8")


def page(title: str, folder: str, first: Iterable[str]) -> str:
    """The page of a report in a folder. folder: that of scripts and styles, relative; first: scripts it begins with.

    Only scripts and styles that are files beside it are run: nothing that stands in a text can be.
    """
    policy = _POLICY.format(scripts="'self'", styles="'self'", images="'self' data:")
    styles = "".join(f'<link rel="stylesheet" href="{folder}/{name}">\n' for name in STYLES)
    scripts = "".join(f'<script src="{folder}/{name}"></script>\n' for name in (*SCRIPTS, *first))
    return _document(title, policy, styles, scripts)


def single_page(title: str, data: Iterable[str]) -> str:
    """The same in one file. Scripts and styles are named by their digests in its policy; images are `data:` URLs."""
    style = "\n".join(asset(name) for name in STYLES)
    script = "\n".join([*(asset(name) for name in SCRIPTS), *data])
    policy = _POLICY.format(scripts=_digest(script), styles=_digest(style), images="data:")
    return _document(title, policy, f"<style>{style}</style>\n", f"<script>{script}</script>\n")


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _document(title: str, policy: str, styles: str, scripts: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n{styles}</head>\n<body>\n"
        "<noscript>This report needs JavaScript, which your browser does not run for it.</noscript>\n"
        '<div id="app"></div>\n'
        f"{scripts}</body>\n</html>\n"
    )
