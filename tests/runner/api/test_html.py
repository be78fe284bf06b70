"""HTML for notebooks: everything is escaped, and pictures that cannot be drawn are left out."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from runner.api.html import facts_html, table_html, thumbnails_html

HOSTILE = "<img src=x onerror=alert(1)>&\"'"


def test_nothing_is_markup(tmp_path: Path) -> None:
    Image.new("RGB", (300, 100), "red").save(tmp_path / "a.png")
    shown = (
        facts_html(HOSTILE, [(HOSTILE, HOSTILE)]),
        table_html([HOSTILE], [[HOSTILE]]),
        thumbnails_html([(HOSTILE, tmp_path / "a.png")]),
    )
    for text in shown:
        assert "&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#x27;" in text and "<img src=x" not in text


def test_files_that_are_no_pictures_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    (tmp_path / "b.svg").write_text("<svg/>")
    files = [("a", tmp_path / "a.png"), ("b", tmp_path / "b.svg"), ("c", tmp_path / "gone.png")]
    assert "<img" not in thumbnails_html(files)
