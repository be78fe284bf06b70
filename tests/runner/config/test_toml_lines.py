"""Lines of the keys of a TOML text."""

from __future__ import annotations

import pytest

from runner.config.toml_lines import line_of, lines_of

TEXT = '''\
# a job
manifest = "m.csv"
limits.rpm = 5

[request]
size = """
a
"""
quality = [
  "x",
]
[endpoint.prices]
date = "d"
[[endpoint.prices.image]]
usd = 1
[[endpoint.prices.image]]
usd = 2
[a."b.c"]
d = {e = 1, f = 2}
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("manifest", 2),
        ("limits.rpm", 3),
        ("limits", 3),
        ("request", 5),
        ("request.size", 6),
        ("request.quality", 9),
        ("endpoint.prices.image.0.usd", 15),
        ("endpoint.prices.image.1.usd", 17),
        ("endpoint.prices.image.1.model", 16),
        ("endpoint.prices.sorce", 12),
        ("a.b.c.d.f", 19),
        ("nowhere.at.all", None),
    ],
)
def test_a_key_is_found_on_its_line_or_its_tables(key: str, line: int | None) -> None:
    assert line_of(key, lines_of(TEXT)) == line
