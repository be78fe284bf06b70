"""`runner.report` as a program calls it."""

from __future__ import annotations

from pathlib import Path

import runner


def test_report_returns_a_value_that_tells_what_to_open(tmp_path: Path) -> None:
    out = tmp_path / "o"
    runner.run(
        ["a fox", "an owl [[refuse]]"], out=out, simulate=True, progress="none", set={"simulator.latency": 0}
    )
    report = runner.report(out, sample=2, png=True)
    assert report.page == out / "report/index.html"
    assert (report.rows, report.images, report.failures) == (2, 1, 1)
    assert all(chart.is_file() for chart in report.charts)
    assert report.to_dict()["page"] == str(report.page)
    assert report.page.as_uri() in str(report)
    assert "index.html" in repr(report) and "index.html" in report._repr_html_()
