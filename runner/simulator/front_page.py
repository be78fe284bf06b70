"""`GET /`: the figures of `/stats` for people."""

from __future__ import annotations

from html import escape
from typing import Any

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>imagemill simulate</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; padding: 0 1rem }
td { padding: .1rem 1.5rem .1rem 0; border-bottom: 1px solid #ddd } td + td { text-align: right }
</style>
<h1>The image service, simulated</h1>
"""
_SHOWN = {
    "requests": "requests for images",
    "billed_images": "images charged for (simulated)",
    "refused": "requests refused",
    "in_flight": "requests under way",
    "max_in_flight": "most at a time",
    "downloads": "images fetched by URL",
    "polls": "questions after tasks",
    "worst_window_requests": "most requests in a window of the limits",
    "worst_window_images": "most images in a window of the limits",
}
_GROUPS = {"statuses": "answers with status", "faults": "fault"}


def front_page(figures: dict[str, Any], base_url: str) -> str:
    """The page. figures: the object of `/stats`. base_url: what a client is given."""
    rows = [(text, figures[name]) for name, text in _SHOWN.items() if name in figures]
    for name, text in _GROUPS.items():
        rows += [(f"{text} {key}", count) for key, count in sorted(figures[name].items())]
    table = "\n".join(f"<tr><td>{escape(text)}<td>{count:,.0f}" for text, count in rows)
    return (
        f"{_HEAD}<p>Base URL: <code>{escape(base_url)}</code>\n<table>\n{table}\n</table>\n"
        '<p>All of it as JSON: <a href="/stats">/stats</a>. This page loads itself anew every two seconds.\n'
    )
