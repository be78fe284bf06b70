"""From a run to the good images: report, compare, pick by keyboard, make the poor ones again, export the good ones."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from tests.browser.conftest import Open
from tests.support.commandline import AT_ONCE, CommandLine

PROMPTS = ("a fox in snow", "a red cup", "a wooden ship")
MODELS = ("gpt-image-2-official", "gpt-image-1.5")


def test_two_models_are_compared_picked_mended_and_exported(tmp_path: Path, open_page: Open) -> None:
    command = CommandLine(tmp_path)
    rows = [
        f"{model[:11]}-{number},{prompt},{model}\n"
        for number, prompt in enumerate(PROMPTS)
        for model in MODELS
    ]
    (tmp_path / "m.csv").write_text("id,prompt,model\n" + "".join(rows))
    assert command("run", "m.csv", "--out", "a", "--simulate", *AT_ONCE).code == 0
    assert command("report", "a").code == 0

    page = open_page(tmp_path / "a/report/index.html", "compare").page
    assert page.locator(".pair").count() == len(PROMPTS)
    opened = open_page(tmp_path / "a/report/index.html", "images")
    page = opened.page
    page.keyboard.press("Home")
    for key in ("5", "ArrowRight", "1", "ArrowRight", "4", "ArrowRight", "x"):
        page.keyboard.press(key)
    with page.expect_download() as download:
        page.keyboard.press("s")
    picks = tmp_path / "picks.csv"
    download.value.save_as(picks)
    assert opened.quiet()

    before = {row["row_id"]: row["sha256"] for row in command.results("a")}
    again = command(
        "retry",
        "a",
        "--picks",
        picks,
        "--where",
        "rating <= 2",
        "--set",
        "prompt={prompt}, at night",
        "--json",
    )
    assert (again.code, again.json["images_saved"]) == (0, 2), again.err
    ids = [row.partition(",")[0] for row in rows]
    after = {row["row_id"]: row for row in command.results("a")}
    assert {name for name in ids if before[name] != after[name]["sha256"]} == {ids[1], ids[3]}

    done = command(
        "export", "a", "good", "--to", "parquet", "--picks", picks, "--where", "rating >= 4", "--json"
    )
    assert (done.code, done.json["images"]) == (0, 2), done.err
    table = pq.read_table(next((tmp_path / "good/data").glob("*.parquet")))
    assert table.column("row_id").to_pylist() == [ids[0], ids[2]]
    assert table.column("rating").to_pylist() == [5, 4]
    assert table.column("text").to_pylist() == [PROMPTS[0], PROMPTS[1]]
