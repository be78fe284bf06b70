"""What the documentation says exists: tables, links, options, job keys, modules; and every page can be found."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from runner.cli.main import SUMMARIES
from runner.config.json_schema import job_keys, job_tables
from tests.docs.generate import MARKED, filled
from tests.docs.pages import CHECKOUT, DOCS, PAGES, README, blocks, name_of
from tests.docs.tables import TABLES, every_command

AWAITED_PAGES: set[str] = set()
AWAITED_KEYS: set[str] = set()
"""Linked and named already, still to come. What is there may not stand here."""
DESCRIBED_TABLES = ("endpoint.task", "endpoint.prices")
LONGEST_README = 150


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    return {page: page.read_text("utf-8") for page in PAGES}


def prose(text: str) -> str:
    """The page without its blocks."""
    return re.sub(r"^\s*```.*?^\s*```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_are_what_the_code_says(texts: dict[Path, str], page: Path) -> None:
    assert filled(texts[page]) == texts[page], "run: python -m tests.docs.generate"


def test_every_table_stands_on_one_page(texts: dict[Path, str]) -> None:
    assert sorted(found["name"] for text in texts.values() for found in MARKED.finditer(text)) == sorted(
        TABLES
    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(texts: dict[Path, str], page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(texts[page])):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if linked.is_relative_to(CHECKOUT) and name_of(linked) in AWAITED_PAGES:
            assert not linked.exists(), f"{target} is there: take it out of AWAITED_PAGES"
            continue
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text("utf-8")), target


def test_the_index_names_every_page(texts: dict[Path, str]) -> None:
    index = DOCS / "README.md"
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)\)", texts[index])}
    assert set(PAGES) - {README, index} <= linked


def test_a_topic_has_one_page() -> None:
    names = [page.stem for page in PAGES if page.is_relative_to(DOCS)]
    assert len(names) == len(set(names))


def test_the_readme_is_short(texts: dict[Path, str]) -> None:
    assert len(texts[README].splitlines()) <= LONGEST_README


def test_every_option_and_command_that_is_named_exists(texts: dict[Path, str]) -> None:
    options = [option for command in every_command().values() for option in command.params]
    known = {"--help", "--version"} | {flag for option in options for flag in option.opts}
    for page, text in texts.items():
        ours = re.sub(
            r"<!--.*?-->|pip install .*|pip wheel .*|git clone .*|`?python -m .*|duckdb.*", "", text
        )
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours)) <= known, name_of(page)
        assert set(re.findall(r"`imagemill ([a-z]+)", text)) <= set(SUMMARIES), name_of(page)


def test_every_job_key_that_is_named_exists(texts: dict[Path, str]) -> None:
    keys = job_keys().keys() | set(DESCRIBED_TABLES)
    assert not AWAITED_KEYS & keys, "they are there: take them out of AWAITED_KEYS"
    table = "|".join(job_tables())
    for page, text in texts.items():
        named = set(re.findall(rf"`(?:--set )?((?:{table})\.[a-z_]+)", text)) - AWAITED_KEYS
        assert named <= keys, name_of(page)


def test_every_module_that_is_named_exists(texts: dict[Path, str]) -> None:
    for page, text in texts.items():
        for module in re.findall(r"python -m (tests\.[a-z_.]+)", text):
            assert importlib.util.find_spec(module), f"{name_of(page)}: {module}"
        for file in re.findall(r"\b(tests/[a-z_/]+\.py)\b", text):
            assert (CHECKOUT / file).is_file(), f"{name_of(page)}: {file}"


def test_the_page_of_helpers_names_every_helper() -> None:
    folder = CHECKOUT / "tests" / "support"
    text = (folder / "README.md").read_text("utf-8")
    named = set(re.findall(r"`(\w+\.py|odd_manifests)`", text))
    named |= {f"{module}.py" for module in re.findall(r"`(\w+)\.\w+(?:\(\))?`", text)}
    here = {path.name for path in folder.iterdir() if path.name.removesuffix(".py").isidentifier()}
    assert (named - here - {"conftest.py"}, here - named - {"__pycache__"}) == (set(), set())
    defined = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    functions = re.findall(r"`(?:\w+\.)?(\w+)\(\)`", text)
    assert functions
    assert [name for name in functions if f"def {name}(" not in defined] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_toml_is_toml(texts: dict[Path, str], page: Path) -> None:
    for block in blocks(texts[page]):
        if block.kind == "toml":
            tomllib.loads(block.text)
