"""`python -m tests.docs.generate`: writes the tables of README.md and docs/ anew from the code that they describe.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; what is written between them by hand is lost.
"""

from __future__ import annotations

import re

from tests.docs.pages import PAGES
from tests.docs.tables import TABLES

MARKED = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """A page with every marked table written anew. Raises KeyError for a table that there is not."""
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found['name']]()}\n{found[3]}", text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
