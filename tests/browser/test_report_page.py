"""The report in a real browser, opened from the disk."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from runner.results.picks import read_picks
from tests.browser.conftest import Open
from tests.support.commandline import AT_ONCE, CommandLine
from tests.support.hostile_texts import HOSTILE_TEXTS

PROMPTS = [
    ("owl", "a great gray owl", "Animals"),
    ("owl-b", "a great gray owl", "Animals"),
    ("ship", "a wooden ship in a bottle", "Objects"),
    ("no", "something that is refused [[refuse]]", "Objects"),
    ("cup", "a red cup", "Objects"),
]


def _write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two output folders, `a` and `b` (which lacks a row), and reports of `a` and of both."""
    home = tmp_path_factory.mktemp("report")
    models = {"owl-b": "gpt-image-1.5"}
    rows = [[*row, models.get(row[0], "")] for row in PROMPTS]
    header = ["id", "prompt", "category", "model"]
    _write(home / "a.csv", header, rows)
    _write(home / "b.csv", header, rows[:-1])
    command = CommandLine(home)
    for name, profile in (("a", "dieyuyun"), ("b", "openai")):
        more = ("--profile", profile, *AT_ONCE)
        ended = command("run", f"{name}.csv", "--out", name, "--simulate", *more)
        assert ended.code == 3, ended.err
    assert command("report", "a").code == 0
    assert command("report", "a", "b", "--dest", "both").code == 0
    return home


def test_overview_tells_the_failures_and_their_commands(folder: Path, open_page: Open) -> None:
    opened = open_page(folder / "a/report/index.html")
    text = opened.page.inner_text("main")
    assert "4 of 5" in text.replace("\n", " ")
    assert "imagemill retry a --error moderation" in text
    assert opened.page.locator("svg.chart").count() == 2
    assert opened.quiet()


def test_a_service_that_revises_no_prompts_is_said_to_send_none(folder: Path, open_page: Open) -> None:
    page = open_page(folder / "both/index.html").page
    told = [section.inner_text() for section in page.locator("section.folder").all()]
    assert ["This service sends no revised prompts." in text for text in told] == [False, True]


def test_search_filter_sort_group(folder: Path, open_page: Open) -> None:
    opened = open_page(folder / "a/report/index.html", "images")
    page = opened.page

    def ids() -> list[str]:
        return page.locator(".cell .id span").all_inner_texts()

    assert ids() == ["owl", "owl-b", "ship", "no", "cup"]
    page.keyboard.press("/")
    page.keyboard.type("GRAY owl")
    assert ids() == ["owl", "owl-b"]
    page.get_by_label("Search prompts").fill("")
    page.get_by_role("checkbox", name="failed").check()
    assert ids() == ["no"]
    page.get_by_role("button", name="Clear").click()
    assert len(ids()) == 5
    page.get_by_label("Sort", exact=True).select_option("row_id")
    assert ids() == ["cup", "no", "owl", "owl-b", "ship"]
    page.get_by_role("button", name="Reverse the order").click()
    assert ids() == ["ship", "owl-b", "owl", "no", "cup"]
    page.get_by_label("Group", exact=True).select_option("=category")
    assert page.locator(".group-head h3").all_inner_texts() == ["Objects", "Animals"]
    assert opened.quiet()


def test_filter_by_a_column_of_the_manifest(folder: Path, open_page: Open) -> None:
    page = open_page(folder / "a/report/index.html", "images").page
    page.locator("summary", has_text="category").click()
    page.get_by_role("checkbox", name="Animals").check()
    assert page.locator("html").get_attribute("data-shown") == "2"


def test_detail_marks_what_the_service_revised(folder: Path, open_page: Open) -> None:
    opened = open_page(folder / "a/report/index.html", "images")
    page = opened.page
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Image")
    assert dialog.locator("h2").inner_text() == "owl"
    assert dialog.locator("ins").count() >= 1
    assert "imagemill retry a --where \"row_id = 'owl'\" --succeeded --yes" in dialog.inner_text()
    assert page.evaluate("document.querySelector('.stage img').naturalWidth") == 1024
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert "rejected by the safety system" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    assert opened.quiet()


def test_picks_by_keyboard_become_a_file_that_is_read_back(
    folder: Path, open_page: Open, tmp_path: Path
) -> None:
    opened = open_page(folder / "a/report/index.html", "images")
    page = opened.page
    page.keyboard.press("Home")
    for key in ("4", "ArrowRight", "x", "ArrowRight", "2"):
        page.keyboard.press(key)
    page.keyboard.press("t")
    page.keyboard.type("=sum(A1)")
    page.keyboard.press("Enter")
    page.keyboard.press("n")
    page.keyboard.type('a "quoted", note')
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert download.value.suggested_filename == "picks.csv"
    download.value.save_as(tmp_path / "picks.csv")
    picks = read_picks(tmp_path / "picks.csv").by_image
    assert {key: (pick.rating, pick.tag, pick.note) for key, pick in picks.items()} == {
        ("owl", 0): (4, "", ""),
        ("owl-b", 0): (0, "", ""),
        ("ship", 0): (2, "=sum(A1)", 'a "quoted", note'),
    }
    digests = {row["row_id"]: row["sha256"] for row in CommandLine(folder).results("a")}
    assert {key[0]: pick.sha256 for key, pick in picks.items()} == {
        row: digests[row] for row in ("owl", "owl-b", "ship")
    }
    page.reload()
    page.wait_for_selector(".badge")
    assert page.locator(".badge").all_inner_texts() == ["★★★★", "✕", "★★ =sum(A1)"]
    fresh = open_page(folder / "a/report/index.html", "images").page
    with fresh.expect_file_chooser() as chooser:
        fresh.get_by_role("button", name="Load picks").click()
    chooser.value.set_files(tmp_path / "picks.csv")
    fresh.wait_for_selector(".badge")
    assert fresh.locator(".badge").all_inner_texts() == ["★★★★", "✕", "★★ =sum(A1)"]
    assert opened.quiet()


def test_comparison_of_two_folders(folder: Path, open_page: Open) -> None:
    opened = open_page(folder / "both/index.html", "compare")
    page = opened.page
    assert page.locator(".pair").count() == 5
    assert page.locator(".pair", has_text="cup").get_by_text("not in this one").count() == 1
    page.locator(".pair-open").first.click()
    viewer = page.get_by_role("dialog", name="Side by side")
    assert viewer.locator(".pane figcaption").count() == 2
    box = viewer.locator(".zoom").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.wheel(0, -300)
    page.wait_for_function("Mill.compare.state().scale > 1.5")
    moves = page.eval_on_selector_all(".zoomed", "all => all.map(each => each.style.transform)")
    assert len(moves) == 2 and len(set(moves)) == 1 and "scale" in moves[0]
    page.keyboard.press("w")
    page.get_by_label("Wipe between the two").fill("25")
    assert page.eval_on_selector(".over", "each => each.style.clipPath") == "inset(0px 75% 0px 0px)"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert opened.quiet()


def test_comparison_of_models_under_one_prompt(folder: Path, open_page: Open) -> None:
    page = open_page(folder / "a/report/index.html", "compare").page
    assert page.get_by_label("Compare by").input_value() == "model"
    first = page.locator(".pair").first
    assert first.locator("figcaption").all_inner_texts() == ["gpt-image-2-official", "gpt-image-1.5"]
    assert first.locator(".piece").count() == 2


def test_missing_and_damaged_images_are_shown_as_such(folder: Path, open_page: Open, tmp_path: Path) -> None:
    shutil.copytree(folder / "a", tmp_path / "a", ignore=shutil.ignore_patterns("report"))
    shutil.copy(folder / "a.csv", tmp_path)
    names = {row["row_id"]: row["file_name"] for row in CommandLine(tmp_path).results("a")}
    (tmp_path / "a" / names["owl"]).unlink()
    (tmp_path / "a" / names["ship"]).write_bytes(b"\x89PNG\r\n\x1a\n nonsense")
    assert CommandLine(tmp_path).__call__("report", "a").code == 0
    page = open_page(tmp_path / "a/report/index.html", "images").page
    told = {
        cell.locator(".id span").inner_text(): cell.locator(".thumb").inner_text()
        for cell in page.locator(".cell").all()
    }
    assert told["owl"].startswith("image missing")
    assert told["ship"].startswith("image damaged")
    assert told["cup"] == ""


def test_a_moved_folder_and_a_single_file_still_show_images(
    folder: Path, open_page: Open, tmp_path: Path
) -> None:
    shutil.copytree(folder / "a", tmp_path / "moved #1 50%")
    page = open_page(tmp_path / "moved #1 50%/report/index.html", "images").page
    page.locator(".open").first.click()
    page.wait_for_function("document.querySelector('.stage img').naturalWidth === 1024")
    ended = CommandLine(folder)("report", "a", "--single-file", "--dest", tmp_path / "mail.html", "--json")
    assert ended.json["page"] == str(tmp_path / "mail.html")
    opened = open_page(tmp_path / "mail.html", "images")
    opened.page.locator(".open").first.click()
    opened.page.wait_for_function("document.querySelector('.stage img').naturalWidth === 720")
    assert opened.quiet()


@pytest.mark.parametrize("form", ["folder", "single file"])
def test_no_hostile_text_runs_anywhere(tmp_path: Path, open_page: Open, form: str) -> None:
    header = ["id", "prompt", "size", "<img src=x onerror=window.ran=1>", "__proto__", "tag"]
    rows = [
        [f"{place} {text}", f"{text} {place}", "" if place % 3 else text, text, text, text]
        for place, text in enumerate(HOSTILE_TEXTS)
    ]
    _write(tmp_path / "<b>x.csv", header, rows)
    command = CommandLine(tmp_path)
    out = "</script><script>window.ran=1<"
    out = out.replace("/", "\u2215")
    ran = command("run", "<b>x.csv", "--out", out, "--simulate", *AT_ONCE)
    assert ran.code == 3, ran.err
    report = command("report", out, "--dest", "page", *(["--single-file"] if form == "single file" else []))
    assert report.code == 0, report.err
    opened = open_page(
        tmp_path / "page" / ("report.html" if form == "single file" else "index.html"), "images"
    )
    page = opened.page
    page.locator(".open").first.click()
    for text in HOSTILE_TEXTS:
        page.locator("#pick-tag").fill(text)
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowRight")
    for summary in page.locator("details.all summary").all():
        summary.click()
    page.keyboard.press("Escape")
    assert page.evaluate("Mill.picks.count()") == len(HOSTILE_TEXTS)
    for choice in ("prompt", "=__proto__"):
        page.get_by_label("Group", exact=True).select_option(choice)
    for summary in page.locator(".filter summary").all():
        summary.click()
    page.get_by_label("Search prompts").fill("<script> [ ( *")
    for view in ("compare", "overview", "images"):
        page.evaluate(f"location.hash = '{view}'")
        page.wait_for_selector(f"main.{view}")
    assert page.evaluate("window.ran") is None
    assert page.evaluate("({}).polluted") is None
    assert page.locator("iframe, object, embed, base, form, meta[http-equiv=refresh]").count() == 0
    assert opened.quiet(), (opened.errors, opened.left)


@pytest.mark.parametrize("view", ["overview", "images", "compare"])
def test_phone_width_needs_no_sideways_scrolling(folder: Path, open_page: Open, view: str) -> None:
    phone = {"viewport": {"width": 375, "height": 740}, "is_mobile": True, "has_touch": True}
    for name in ("a/report/index.html", "both/index.html"):
        page = open_page(folder / name, view, **phone).page
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        assert page.evaluate("document.querySelector('main').scrollWidth") <= 375


def test_dark_where_the_system_is(folder: Path, open_page: Open) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page = open_page(folder / "a/report/index.html", color_scheme=scheme).page
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(247, 247, 245)", "rgb(18, 20, 24)"]


def test_everything_that_acts_has_a_name(folder: Path, open_page: Open) -> None:
    page = open_page(folder / "a/report/index.html", "images").page
    page.locator(".open").first.click()
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, select, a, [role=img], dialog, svg")]
        .filter(each => !(each.getAttribute("aria-label") || each.textContent.trim() || each.labels?.length))
        .map(each => each.outerHTML)"""
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.lang") == "en"
    page.keyboard.press("Escape")
    assert page.get_by_role("list", name="Images").get_by_role("listitem").count() == 5
    page.evaluate("location.hash = 'overview'")
    page.wait_for_selector("main.overview")
    assert page.get_by_role("img", name="4 made, 1 failed").count() == 1
