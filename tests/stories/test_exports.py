"""Exports: each shape read by its own library or by its evaluator's rules; hostile cells, kills, full disks, damage."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from runner.exports.spreadsheet import safe_cell
from tests.support.commandline import AT_ONCE, CommandLine

SMALL = ("--size", "64x64", *AT_ONCE)
IDS = (
    *(
        "fox",
        "../../etc/passwd",
        "=cmd|' /C calc'!A0",
        "a\nb",
        "con",
        "x" * 300,
        "\u202egpj.exe",
        "a/b",
        "a:b",
    ),
    *(".hidden", "NUL.txt", "狐", "tr.ail.", "-rf"),
)
COLUMNS = ("image", "text", "=evil()", "../up", "include")
REFUSED = "[[refuse]] and no image"
SHAPES = (
    "imagefolder",
    "parquet",
    "webdataset",
    "csv",
    "geneval",
    "t2i-compbench",
    "dpg-bench",
    "unigenbench",
    "genarena",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A run of hostile rows, four images each, and one that was refused."""
    folder = tmp_path_factory.mktemp("place")
    with (folder / "p.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "prompt", *COLUMNS])
        for number, row_id in enumerate(IDS):
            cells = ["@x", "its text", "=1+1", "<b>", '[{"class": "dog", "count": 1}]']
            table.writerow([row_id, f"=a <b>/..\nprompt_{number}.", *cells])
        table.writerow(["refused", REFUSED, *[""] * len(COLUMNS)])
    command = CommandLine(folder)
    assert command("run", "p.csv", "--simulate", "--n", "4", "--out", "o", *SMALL).code == 3
    return command


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`datasets` asks nobody, and keeps nothing."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def export(place: CommandLine, dest: Path, to: str, *arguments: str) -> dict[str, Any]:
    ended = place("export", "o", str(dest), "--to", to, *arguments, "--json")
    assert ended.code == 0, ended.err
    found: dict[str, Any] = ended.json
    return found


def with_images(place: CommandLine) -> list[dict[str, Any]]:
    table = pq.read_table(place.cwd / "o/results.parquet")
    return [line for line in table.to_pylist() if line["file_name"] is not None]


def contents(place: CommandLine) -> list[str]:
    return [line["sha256"] for line in with_images(place)]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def renamed(line: dict[str, Any]) -> dict[str, Any]:
    """The line as an export tells it; names that loaders give a meaning have a prefix."""
    new = {"image": "manifest_image", "text": "manifest_text"}
    return {
        "text": line["prompt"],
        **{new.get(name, name): line[name] for name in line if name != "file_name"},
    }


def queried(query: str) -> list[Any]:
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


def load(place: CommandLine, *arguments: str, **options: Any) -> Any:
    import datasets

    return datasets.load_dataset(*arguments, split="train", **options)


def plain(line: dict[str, Any]) -> dict[str, Any]:
    """Times as numbers: each library has a class of its own."""
    return {name: value.timestamp() if hasattr(value, "timestamp") else value for name, value in line.items()}


@pytest.mark.parametrize("shape", ["imagefolder", "parquet"])
def test_datasets_loads_every_image_and_every_column(place: CommandLine, tmp_path: Path, shape: str) -> None:
    dest = tmp_path / "d"
    found = export(place, dest, shape)
    assert (found["images"], found["without_image"]) == (len(IDS) * 4, 4)
    loaded = load(place, str(dest)) if shape == "parquet" else load(place, shape, data_dir=str(dest))
    pictures = [line.pop("image") for line in loaded]
    assert [picture.size for picture in pictures] == [(64, 64)] * len(IDS) * 4
    assert [
        plain({k: v for k, v in line.items() if k != "image"}) for line in loaded.remove_columns("image")
    ] == [plain(renamed(line)) for line in with_images(place)]


def test_parquet_is_read_by_duckdb_and_polars_with_the_very_bytes(place: CommandLine, tmp_path: Path) -> None:
    export(place, tmp_path / "d", "parquet")
    pattern = str(tmp_path / "d/data/*.parquet")
    rows = queried(f"SELECT image.bytes, image.path FROM '{pattern}' ORDER BY row, image_index")
    assert [sha(content) for content, _ in rows] == contents(place)
    assert polars.read_parquet(pattern)["image"].struct.field("path").to_list() == [name for _, name in rows]


def test_webdataset_reads_every_image_and_every_column(place: CommandLine, tmp_path: Path) -> None:
    import webdataset

    export(place, tmp_path / "d", "webdataset")
    loaded = list(webdataset.WebDataset(str(tmp_path / "d/train-000000.tar"), shardshuffle=False))
    assert [sha(each["png"]) for each in loaded] == contents(place)
    for each, line in zip(loaded, with_images(place), strict=True):
        told = json.loads(each["json"])
        assert each["txt"].decode() == line["prompt"] == told["text"]
        for name, value in renamed(line).items():
            assert told[name] == (
                value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                if hasattr(value, "isoformat")
                else value
            )


def test_jsonl_beside_images_tells_the_same(place: CommandLine, tmp_path: Path) -> None:
    export(place, tmp_path / "d", "imagefolder", "--metadata", "jsonl", "--columns", "row_id,model")
    lines = [json.loads(line) for line in (tmp_path / "d/train/metadata.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [["file_name", "text", "row_id", "model"]] * len(lines)
    assert [sha((tmp_path / "d/train" / line["file_name"]).read_bytes()) for line in lines] == contents(place)
    assert len(load(place, "imagefolder", data_dir=str(tmp_path / "d"))) == len(lines)


def test_csv_has_every_row_and_no_formula(place: CommandLine, tmp_path: Path) -> None:
    export(place, tmp_path / "d", "csv")
    table = pq.read_table(place.cwd / "o/results.parquet").to_pylist()
    lines = list(csv.DictReader((tmp_path / "d/results.csv").open(encoding="utf-8-sig", newline="")))
    assert lines == [{safe_cell(name): safe_cell(value) for name, value in line.items()} for line in table]
    assert not [cell for line in lines for cell in line.values() if cell[:1] in tuple("=+@\t\r")]
    assert polars.read_csv(tmp_path / "d/results.csv", infer_schema=False).height == len(table)


def test_geneval_lists_what_its_own_rule_takes(place: CommandLine, tmp_path: Path) -> None:
    export(place, tmp_path / "d", "geneval")
    found = []
    for folder in sorted(name for name in os.listdir(tmp_path / "d") if name.isdigit()):
        metadata = json.loads((tmp_path / "d" / folder / "metadata.jsonl").read_text())
        assert metadata["include"] == [{"class": "dog", "count": 1}]
        assert metadata["prompt"] == f"=a <b>/..\nprompt_{int(folder)}."
        images = sorted(os.listdir(tmp_path / "d" / folder / "samples"))
        assert all(re.match(r"\d+\.png", name) for name in images)
        found += [sha((tmp_path / "d" / folder / "samples" / name).read_bytes()) for name in images]
    assert found == contents(place)


def test_t2i_compbench_reads_numbers_from_names(place: CommandLine, tmp_path: Path) -> None:
    export(place, tmp_path / "d", "t2i-compbench")
    folder = tmp_path / "d/examples/samples"
    files = sorted(os.listdir(folder), key=lambda name: int(name.split("_")[-1].split(".")[0]))
    assert [int(name[-10:-4]) for name in files] == list(range(len(IDS) * 4))
    assert files[5].split("_")[0] == "=a  b     prompt 1"
    assert [sha((folder / name).read_bytes()) for name in files] == contents(place)


def test_dpg_bench_has_grids_in_reading_order_and_nothing_else(place: CommandLine, tmp_path: Path) -> None:
    export(place, tmp_path / "d", "dpg-bench", "--where", "row_id IN ('fox', '狐', 'refused')")
    assert sorted(os.listdir(tmp_path / "d/images")) == ["fox.png", "狐.png"]
    fox = [line for line in with_images(place) if line["row_id"] == "fox"]
    with Image.open(tmp_path / "d/images/fox.png") as grid:
        assert grid.size == (128, 128)
        for line, box in zip(fox, ((0, 0), (64, 0), (0, 64), (64, 64)), strict=True):
            with Image.open(place.cwd / "o" / line["file_name"]) as part:
                assert grid.crop((*box, box[0] + 64, box[1] + 64)).tobytes() == part.convert("RGB").tobytes()


def test_unigenbench_and_genarena(place: CommandLine, tmp_path: Path) -> None:
    export(place, tmp_path / "u", "unigenbench", "--subset", "zh_long")
    folder = tmp_path / "u/eval_data/zh_long/gpt-image-2-official"
    names = [f"{row}_{image}.png" for row in range(len(IDS)) for image in range(4)]
    assert sorted(os.listdir(folder)) == sorted(names)
    assert [sha((folder / name).read_bytes()) for name in names] == contents(place)
    notes = export(place, tmp_path / "g", "genarena")["notes"]
    assert notes == [f"{3 * len(IDS)} images left out: genarena takes one image a prompt"]
    found = sorted((tmp_path / "g").rglob("*.png"))
    assert [path.name for path in found] == [f"{row:06d}.png" for row in range(len(IDS))]
    assert re.fullmatch(
        r"arena/basic/models/imagemill_gpt-image-2-official_\d{8}/gpt-image-2-official",
        found[0].parent.relative_to(tmp_path / "g").as_posix(),
    )
    assert [sha(path.read_bytes()) for path in found] == contents(place)[::4]


def test_the_run_folder_loads_as_it_is(place: CommandLine) -> None:
    import datasets

    out = place.cwd / "o"
    table = load(place, "parquet", data_files=str(out / "results.parquet"))
    made = table.filter(lambda line: line["file_name"] is not None)
    pictures = made.map(lambda line: {"picture": str(out / line["file_name"])}).cast_column(
        "picture", datasets.Image()
    )
    assert [line["picture"].size for line in pictures] == [(64, 64)] * len(IDS) * 4
    (count,) = queried(f"SELECT count(file_name) FROM '{out}/results.parquet'")
    assert count == (len(IDS) * 4,)


def tree(folder: Path) -> dict[str, str]:
    """Every file with its content, but for the lock."""
    return {
        path.relative_to(folder).as_posix(): sha(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_again_changes_nothing_and_elsewhere_makes_the_same(
    place: CommandLine, tmp_path: Path, shape: str
) -> None:
    first = export(place, tmp_path / "a", shape)
    before = tree(tmp_path / "a")
    assert export(place, tmp_path / "a", shape) == first
    export(place, tmp_path / "b", shape)
    assert tree(tmp_path / "a") == before == tree(tmp_path / "b")
    paths = [path for path in tmp_path.rglob("*") if not path.resolve().is_relative_to(tmp_path)]
    assert paths == []
    assert all(len(path.name.encode()) <= 255 for path in tmp_path.rglob("*"))


def killed_half_way(place: CommandLine, dest: Path, arguments: list[str]) -> None:
    """kill -9 once the first shard, or image, is there."""
    program = [str(Path(sys.executable).with_name("imagemill")), "export", "o", str(dest), *arguments]
    with subprocess.Popen(program, cwd=place.cwd, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not any(dest.rglob("*[0-9a-z].[tp]*")):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("shape", ["imagefolder", "parquet", "webdataset", "dpg-bench"])
def test_a_kill_half_way_is_made_good_by_the_same_call(
    place: CommandLine, tmp_path: Path, shape: str
) -> None:
    killed_half_way(place, tmp_path / "d", ["--to", shape])
    for shard in (tmp_path / "d").glob("data/*.parquet"):
        pq.read_table(shard)
    export(place, tmp_path / "d", shape)
    export(place, tmp_path / "whole", shape)
    assert tree(tmp_path / "d") == tree(tmp_path / "whole")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("shape", ["imagefolder", "parquet", "webdataset"])
def test_a_full_disk_leaves_no_torn_file_and_the_next_call_goes_on(
    place: CommandLine, small_disk: Path, tmp_path: Path, shape: str
) -> None:
    ended = place("export", "o", str(small_disk / "d"), "--to", shape)
    assert ended.code == 9, ended.err
    assert "No space left" in ended.err
    digests = {*contents(place)}
    assert all(sha(path.read_bytes()) in digests for path in (small_disk / "d").rglob("*.png"))
    assert not list((small_disk / "d").rglob("*.tar")) + list((small_disk / "d").rglob("*.parquet"))
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    export(place, small_disk / "d", shape)
    export(place, tmp_path / "whole", shape)
    assert tree(small_disk / "d") == tree(tmp_path / "whole")


def test_images_that_are_gone_or_torn_are_told_and_the_others_exported(tmp_path: Path) -> None:
    command = CommandLine(tmp_path)
    (tmp_path / "p.csv").write_text("id,prompt\nfox,a\nowl,b\nelk,c\n")
    assert command("run", "p.csv", "--simulate", "--out", "o", *SMALL).code == 0
    names = {line["row_id"]: line["file_name"] for line in with_images(command)}
    (tmp_path / "o" / names["fox"]).unlink()
    os.truncate(tmp_path / "o" / names["owl"], 100)
    for shape in ("imagefolder", "parquet"):
        ended = command("export", "o", shape, "--to", shape, "--json")
        assert (ended.code, ended.json["images"]) == (7, 1)
        assert [each["row_id"] for each in ended.json["damaged"]] == ["fox", "owl"]
        assert "the file is gone" in ended.json["damaged"][0]["problem"]
    assert pq.read_table(tmp_path / "parquet/data")["row_id"].to_pylist() == ["elk"]


def test_picks_choose_and_sample_and_name_too(place: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "picks.csv").write_text("row_id,image_index,rating\nfox,1,5\nfox,2,1\n狐,0,4\n")
    picks = ("--picks", str(tmp_path / "picks.csv"), "--where", "rating >= 4")
    export(place, tmp_path / "d", "imagefolder", *picks, "--name", "{row:05d}_{image_index}")
    assert sorted(path.name for path in (tmp_path / "d/train").glob("*.png")) == [
        "00000_1.png",
        "00011_0.png",
    ]
    assert pq.read_table(tmp_path / "d/train/metadata.parquet")["rating"].to_pylist() == [5, 4]
    assert export(place, tmp_path / "s", "parquet", "--sample", "2")["images"] in (4, 8)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--to", "parqet"), "--to parquet"),
        (("--to", "csv", "--columns", "row_idd"), "did you mean 'row_id'?"),
        (("--to", "imagefolder", "--name", "{row_id}"), "names are taken twice"),
        (("--to", "imagefolder", "--split", "../x"), "no plain word"),
        (("--to", "geneval", "--index", "row_id"), "is no number from 0"),
        (("--to", "parquet", "--where", "status = 'failed'"), "no image was chosen"),
        (("--to", "parquet", "--shard-mb", "501"), "is not 1 to 500"),
        (("--to", "imagefolder", "--push", "hf://datasets/a/b"), "is not pushed"),
        (("--to", "parquet", "--push", "s3://a/b"), "is no dataset"),
        (("--to", "parquet", "--picks", "nowhere.csv"), "No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused_writes_nothing(
    place: CommandLine, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    ended = place("export", "o", str(tmp_path / "d"), *arguments)
    assert ended.code == 2 and told in ended.err
    assert not (tmp_path / "d").exists()


def test_who_is_not_logged_in_is_told_how(place: CommandLine, tmp_path: Path) -> None:
    push = ("--to", "parquet", "--push", "hf://datasets/a/b")
    ended = place("export", "o", str(tmp_path / "d"), *push, environ={"HF_HOME": str(tmp_path / "hf")})
    assert ended.code == 4 and "hf auth login" in ended.err
    assert not (tmp_path / "d").exists()


def test_two_at_once_into_one_folder(place: CommandLine, tmp_path: Path) -> None:
    program = [
        str(Path(sys.executable).with_name("imagemill")),
        "export",
        "o",
        str(tmp_path / "d"),
        "--to",
        "parquet",
    ]
    both = [subprocess.Popen(program, cwd=place.cwd, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        process.communicate()
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 6])
    export(place, tmp_path / "whole", "parquet")
    assert tree(tmp_path / "d") == tree(tmp_path / "whole")


def test_shards_are_cut_and_each_is_a_whole_file(tmp_path: Path) -> None:
    command = CommandLine(tmp_path)
    (tmp_path / "p.csv").write_text("prompt\n" + "".join(f"p {row}\n" for row in range(6)))
    size = ("--size", "1024x1024", "--set", "simulator.latency=0", "-q")
    assert command("run", "p.csv", "--simulate", "--n", "10", "--out", "o", *size).code == 0
    export(command, tmp_path / "d", "parquet", "--shard-mb", "1")
    shards = sorted((tmp_path / "d/data").iterdir())
    assert len(shards) > 1 and all(shard.stat().st_size <= 10**6 for shard in shards)
    assert [shard.name for shard in shards] == [
        f"train-{number:05d}-of-{len(shards):05d}.parquet" for number in range(len(shards))
    ]
    images = pa.concat_tables(pq.read_table(shard) for shard in shards)["image"].to_pylist()
    assert [sha(image["bytes"]) for image in images] == contents(command)
    assert all(Image.open(BytesIO(image["bytes"])).size == (1024, 1024) for image in images[:3])
