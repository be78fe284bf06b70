"""The dataset card: `README.md` with the header that the Hub reads, and what a person asks of a dataset."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TEXT = re.compile(r"[^\w .,:/@+()-]")
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)


@dataclass(frozen=True)
class CardFacts:
    """What a card tells. columns: name and type of each. cost_usd: of these images. loading: Python, or a comment."""

    to: str
    split: str
    license: str | None
    images: int
    models: tuple[str, ...]
    cost_usd: float
    simulated: bool
    where: str | None
    columns: Mapping[str, str]
    loading: str
    version: str


def card_text(facts: CardFacts) -> str:
    """The card in Markdown. It names no moment and no machine, so that the same export has the same card."""
    simulated = " (simulated: nothing was paid)" if facts.simulated else ""
    lines = [
        *_header(facts),
        "# Images made with imagemill",
        "",
        f"- images: {facts.images:,}",
        f"- made by: {', '.join(_plain(model) for model in facts.models) or 'no model'}",
        f"- cost of these images: ${facts.cost_usd:,.2f}{simulated}",
        f"- licence: {_plain(facts.license) if facts.license else 'not stated by who exported it'}",
        f"- layout: {facts.to}, by imagemill {_plain(facts.version)}",
        *([f"- chosen by: {_plain(facts.where)}"] if facts.where else []),
        "",
        "The images are synthetic. `text` is the prompt that was sent; `revised_prompt` is what the service made of it,",
        "where it told that.",
        "",
        "## Load it",
        "",
        "```python",
        facts.loading,
        "```",
        "",
        "## Columns",
        "",
        "| column | type |",
        "| --- | --- |",
        *(f"| {_plain(name)} | {_plain(kind)} |" for name, kind in facts.columns.items()),
    ]
    return "\n".join(lines) + "\n"


def _header(facts: CardFacts) -> Iterable[str]:
    """YAML; texts are quoted as JSON, which is YAML too."""
    size = next((name for most, name in _SIZES if facts.images < most), "n>10M")
    yield "---"
    yield f"license: {json.dumps(facts.license or 'other')}"
    if not facts.license:
        yield 'license_name: "unknown"'
    yield "task_categories: [text-to-image]"
    yield "tags: [synthetic, imagemill]"
    yield f"size_categories: [{json.dumps(size)}]"
    if facts.to == "parquet":
        yield "configs:"
        yield "- config_name: default"
        yield "  data_files:"
        yield f"  - split: {json.dumps(facts.split)}"
        yield f'    path: "data/{facts.split}-*.parquet"'
    yield "---"
    yield ""


def _plain(text: str) -> str:
    """Hostile text without what Markdown or HTML would read; not longer than a line."""
    return _TEXT.sub(" ", text)[:200]
