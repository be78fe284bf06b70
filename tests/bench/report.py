# ruff: noqa: T201
"""`python -m tests.bench.report`: what a report of many images costs to build, and its page in a real browser.

Prints medians and asserts nothing. Drawing is measured on PNG files of 1024 × 1024 pixels that compress as photographs do,
read from a warm page cache, and told for 100,000 by simple proportion. The page has the rows of a simulated run, repeated
with ids, prompts and digests of their own.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, sync_playwright

from runner.reports.build import ReportRequest, build_report
from runner.reports.folder_data import FolderData
from runner.reports.script_data import script
from runner.reports.thumbnails import Thumbnails
from runner.results.selection import ResultsSelection
from runner.results.snapshot import open_results
from tests.support.commandline import AT_ONCE, CommandLine

SIDE = 1024
DIFFERENT = 20
"""Photographs that are drawn; the others are links to them."""
TARGET = 100_000


def photographs(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """Digest and file of so many images. The digests are made up: the report does not read them from the bytes."""
    for number in range(count):
        file = folder / f"{number:06}.png"
        if number < DIFFERENT:
            noise = Image.effect_noise((SIDE, SIDE), 60 + number).filter(ImageFilter.GaussianBlur(1.2))
            ramp = Image.linear_gradient("L").resize((SIDE, SIDE))
            Image.merge("RGB", (noise, Image.blend(noise, ramp, 0.5), ramp)).save(file)
        else:
            os.link(folder / f"{number % DIFFERENT:06}.png", file)
        yield f"{number:064x}", file


def drawing(home: Path, count: int) -> None:
    """How long thumbnails take."""
    files = list(photographs(home, count))
    size = statistics.mean(file.stat().st_size for _, file in files[:DIFFERENT]) / 1e6
    thumbs = Thumbnails.open(home / "thumbs")
    before, cpu = time.monotonic(), _cpu()
    thumbs.draw(files, lambda _count: None)
    wall, cpu = time.monotonic() - before, _cpu() - cpu
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"draw {count:,} thumbnails of PNG of {size:.1f} MB: {wall:.1f} s, {1000 * cpu / count:.1f} ms CPU each;"
    )
    print(
        f"  {TARGET:,} at this rate: {wall / count * TARGET / 60:.1f} min; a drawing process holds {peak:.0f} MB"
    )
    before = time.monotonic()
    Thumbnails.open(home / "thumbs").draw(files, lambda _count: None)
    print(f"  again, all known: {time.monotonic() - before:.2f} s")


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def enlarge(out: Path, page: Path, rows: int) -> None:
    """Repeat a report's rows, in the scripts that its page reads."""
    files = next(page.parent.glob("files-*"))
    with open_results(out) as results:
        table = pa.concat_tables(results.tables())
        times = -(-rows // table.num_rows)

        def tables() -> Iterator[pa.Table]:
            for turn in range(times):
                piece = table.slice(0, min(table.num_rows, rows - turn * table.num_rows))
                for name, text in (("row_id", "{} {}"), ("prompt", "{} number {}"), ("sha256", "{}{:06}")):
                    values = [
                        None if each is None else text.format(each, turn)
                        for each in piece.column(name).to_pylist()
                    ]
                    place = piece.schema.get_field_index(name)
                    piece = piece.set_column(place, piece.schema.field(name), pa.array(values, pa.string()))
                yield piece

        data = FolderData(0, results, ResultsSelection(), str(out))
        object.__setattr__(results, "tables", tables)
        for name, text in data.scripts():
            (files / name).write_text(text, "ascii")
        for number, chunk in enumerate(data.chunks):
            places = [[place // 25 % 8, place % 25, 192, 192] for place in range(chunk.rows)]
            (files / f"thumbs-0-{number}.js").write_text(script("thumbs", 0, number, places), "ascii")
        head: dict[str, Any] = {
            "version": "0",
            "made": 0,
            "files": files.name,
            "single": False,
            "thumbs": {"side": 192, "across": 5},
            "folders": [data.head(page.parent)],
        }
        (files / "head.js").write_text(script("head", head), "ascii")


_SEARCH = """text => { const start = performance.now(); Mill.filters.query.text = text; Mill.app.refresh();
    document.body.offsetHeight; return performance.now() - start; }"""
_FILTER = """on => { const start = performance.now(); Mill.filters.query.text = "";
    Mill.app.show(new Map(on ? [["place", ["at dusk"]]] : []));
    document.body.offsetHeight; return performance.now() - start; }"""


def browsing(browser: Browser, page_file: Path, turns: int) -> None:
    """First paint, time until all rows are read, search, filter, memory."""
    paints, wholes, searches, filters, memory = [], [], [], [], []
    for _ in range(turns):
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{page_file.as_uri()}#images", wait_until="commit")
        page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
        paints.append(
            page.evaluate(
                "performance.getEntriesByName('first-contentful-paint').map(each => each.startTime)[0]"
            )
        )
        wholes.append(page.evaluate("performance.now()"))
        searches += [page.evaluate(_SEARCH, text) for text in ("fox number 12", "zzz", "snow")]
        filters += [page.evaluate(_FILTER, on) for on in (True, False)]
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.collectGarbage")
        memory.append(session.send("Runtime.getHeapUsage")["usedSize"] / 1e6)
        page.close()
    middle = statistics.median
    print(f"first paint {middle(paints):.0f} ms; all rows read {middle(wholes):.0f} ms")
    print(
        f"search {middle(searches):.0f} ms; filter {middle(filters):.0f} ms; script memory {middle(memory):.0f} MB"
    )


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=2000)
    options.add_argument("--rows", type=int, default=TARGET)
    options.add_argument("--turns", type=int, default=5)
    chosen = options.parse_args()
    with TemporaryDirectory() as name:
        drawing(Path(name), chosen.images)
    with TemporaryDirectory() as name:
        from tests.docs.report_pictures import write_manifest

        home = Path(name)
        write_manifest(home / "m.csv", models=True)
        CommandLine(home)("run", "m.csv", "--out", "out", "--simulate", *AT_ONCE)
        page = Path(build_report(ReportRequest([home / "out"])).page)
        before = time.monotonic()
        enlarge(home / "out", page, chosen.rows)
        print(f"write {chosen.rows:,} rows: {time.monotonic() - before:.1f} s")
        with sync_playwright() as playwright:
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
            browsing(browser, page, chosen.turns)
            browser.close()


if __name__ == "__main__":
    main()
