"""Folders of text files, patterns over files, and files of several forms as one manifest."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest

from runner.manifest.open import open_manifest
from runner.manifest.records import ManifestError
from tests.support.manifest_readback import read_back
from tests.support.odd_manifests.parquets import parquet


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_a_folder(tmp_path: Path) -> None:
    """Names are ids; of the content only one final line end goes."""
    fill(
        tmp_path,
        {
            "b.txt": b"b\r\n",
            "a.txt": b"  a\nb\n\n",
            "10.txt": b"",
            "9.txt": b"\xef\xbb\xbfnine\r",
            "B.TXT": b"capital",
            "v1.2.txt": "\ufeffwide\n".encode("utf-16-le"),
            ".hidden.txt": b"no",
            "._a.txt": b"\0\5\x16",
            "notes.md": b"no",
            "sub/c.txt": b"no",
            "sub.txt/d.txt": b"no",
        },
    )
    manifest = open_manifest(tmp_path)
    found = read_back(manifest)
    assert dict(zip(found.ids, found.prompts, strict=True)) == {
        "10": "",
        "9": "nine",
        "B": "capital",
        "a": "  a\nb\n",
        "b": "b",
        "v1.2": "wide",
    }
    assert found.locations == ["10.txt", "9.txt", "B.TXT", "a.txt", "b.txt", "v1.2.txt"]
    assert manifest.columns == {"prompt": "prompt", "id": "id"} and not found.extras


def test_what_is_wrong_with_a_file_of_a_folder(tmp_path: Path) -> None:
    fill(tmp_path, {"a.txt": b"Dal\xed", "b.txt": b"x" * (4 * 1024 * 1024 + 1), "c.txt": b"c"})
    (tmp_path / os.fsdecode(b"d\xff.txt")).write_bytes(b"d")
    found = read_back(open_manifest(tmp_path))
    assert found.prompts == [None, None, "c", "d"]
    assert found.ids == ["a", "b", "c", None]
    assert found.malformed[0].startswith("a.txt: byte 3 of the file (0xed) is not UTF-8")
    assert found.malformed[1].startswith("b.txt: the file has more than 4 MiB")
    assert found.malformed[3] == r"d\udcff.txt: the file's name is not UTF-8; rename the file"


def test_a_folder_without_text_files(tmp_path: Path) -> None:
    fill(tmp_path, {"a.csv": b"prompt\na\n"})
    with pytest.raises(ManifestError, match=r"is a folder without \.txt files") as stop:
        open_manifest(tmp_path)
    assert "folder/*.parquet" in stop.value.fix
    with pytest.raises(ManifestError, match="no column 'words'"):
        open_manifest(fill(tmp_path, {"a.txt": b"a"}), prompt_col="words")


def test_a_file_of_a_folder_that_vanishes(tmp_path: Path) -> None:
    manifest = open_manifest(fill(tmp_path, {"a.txt": b"a", "b.txt": b"b"}))
    (tmp_path / "b.txt").unlink()
    with pytest.raises(ManifestError, match=r"b\.txt is not there"):
        read_back(manifest)


def test_files_of_several_forms(tmp_path: Path) -> None:
    """Sorted by name; each has roles of its own; the other columns are the union, in order of appearance."""
    typed = {
        "caption": pa.array(["p"]),
        "score": pa.array([0.5]),
        "row_id": pa.array([4]),
        "x": pa.array([7], pa.int16()),
    }
    fill(
        tmp_path,
        {
            "a.csv": b"id,prompt,tag\n1,a,t\n2,b\n",
            "b.jsonl": b'{"text": "j", "size": "auto", "x": [1]}\n',
            "c.parquet": parquet(typed),
            "d.txt": b"plain\n",
            "e.csv.gz": gzip.compress(b"prompt,score\nz,0.50\n"),
        },
    )
    manifest = open_manifest(str(tmp_path / "?.*"))
    found = read_back(manifest)
    assert found.prompts == ["a", None, "j", "p", "plain", "z"]
    assert found.ids == ["1", "2", None, "4", None, None]
    assert found.roles["size"] == [None, None, "auto", None, None, None]
    assert found.extras == {
        "tag": ["t", None, None, None, None, None],
        "x": [None, None, "[1]", "7", None, None],
        "score": [None, None, None, "0.5", None, "0.50"],
    }
    assert found.locations == [
        "a.csv, line 2",
        "a.csv, line 3",
        "b.jsonl, line 1",
        "c.parquet, row 0",
        "d.txt, line 1",
        "e.csv.gz, line 2",
    ]
    assert found.malformed == {1: "a.csv, line 3: has 2 fields, the header has 3; add what is missing"}
    assert manifest.columns == {"prompt": "prompt", "id": "id", "size": "size"}


def test_a_column_that_is_the_prompt_in_one_file_only(tmp_path: Path) -> None:
    fill(tmp_path, {"a.csv": b"prompt,text\na,note\n", "b.csv": b"text\nb\n"})
    found = read_back(open_manifest(str(tmp_path / "*.csv")))
    assert found.prompts == ["a", "b"] and found.extras == {"text": ["note", None]}


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        (pa.int8(), pa.int32(), pa.int32()),
        (pa.uint16(), pa.uint8(), pa.uint16()),
        (pa.float64(), pa.float32(), pa.float64()),
        (pa.null(), pa.int8(), pa.int8()),
        (pa.int8(), pa.null(), pa.int8()),
        (pa.int64(), pa.uint64(), pa.string()),
        (pa.int64(), pa.float64(), pa.string()),
        (pa.large_string(), pa.string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.list_(pa.field("element", pa.int8())), pa.bool_(), pa.string()),
    ],
)
def test_types_that_differ(
    tmp_path: Path, first: pa.DataType, second: pa.DataType, common: pa.DataType
) -> None:
    prompt = pa.array(["a"])
    for name, kind in (("a.parquet", first), ("b.parquet", second)):
        (tmp_path / name).write_bytes(parquet({"prompt": prompt, "x": pa.nulls(1, kind)}))
    manifest = open_manifest(str(tmp_path / "*.parquet"))
    assert manifest.extra_schema() == pa.schema([("x", common)])
    assert read_back(manifest).extras["x"] == [None, None]


def test_one_file_without_prompts_stops_all(tmp_path: Path) -> None:
    fill(tmp_path, {"a.csv": b"prompt\na\n", "b.csv": b"words\nb\n"})
    with pytest.raises(ManifestError, match=r"b\.csv has no prompt column"):
        open_manifest(str(tmp_path / "*.csv"))
    with pytest.raises(ManifestError, match=r"a\.csv has no column 'words'"):
        open_manifest(str(tmp_path / "*.csv"), prompt_col="words")


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (
        "p/x/a.txt",
        "p/y/a.txt",
        "p/b.txt",
        "p/.c.txt",
        "p/.d/a.txt",
        "p/e.txt/f.md",
        "q[1].txt",
        "q1.txt",
    )
    fill(tmp_path, {name: name.encode() for name in files})
    monkeypatch.chdir(tmp_path)
    assert read_back(open_manifest("p/*.txt")).prompts == ["p/b.txt"]
    found = read_back(open_manifest("p/**/*.txt"))
    assert found.prompts == ["p/b.txt", "p/x/a.txt", "p/y/a.txt"]
    assert found.locations == ["b.txt, line 1", "x/a.txt, line 1", "y/a.txt, line 1"]
    assert read_back(open_manifest("p/[xy]/a.txt")).prompts == ["p/x/a.txt", "p/y/a.txt"]
    assert read_back(open_manifest("q[1].txt")).prompts == ["q[1].txt"]
    assert read_back(open_manifest(str(tmp_path / "q?.txt"))).locations == ["line 1"]
    for pattern in ("p/*.csv", "nowhere/*.txt"):
        with pytest.raises(ManifestError, match="no file matches"):
            open_manifest(pattern)
    with pytest.raises(ManifestError, match=r"\*\*"):
        open_manifest("p/a**.txt")


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, {"prompts.csv.gz": b"prompt\na\n", "sets/a.txt": b"a"})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_manifest("~/prompts.csv.gz").stem == "prompts"
    assert open_manifest("~/sets").stem == "sets"
    monkeypatch.chdir(tmp_path)
    manifest = open_manifest(Path("prompts.csv.gz"))
    assert (manifest.label, next(manifest.batches()).source) == ("prompts.csv.gz", "prompts.csv.gz")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    fill(tmp_path, {"prompts.csv": b"prompt\na\n"})
    with pytest.raises(ManifestError, match="there is no file") as stop:
        open_manifest(tmp_path / "prompt.csv")
    assert stop.value.fix == f"did you mean {tmp_path / 'prompts.csv'}?"
    for name in ("zzz/a.csv", "a\0b.csv", "x" * 5_000):
        with pytest.raises(ManifestError):
            open_manifest(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ManifestError, match="no file that can be read twice"):
        open_manifest(tmp_path / "pipe.csv")


def test_a_file_that_vanishes_or_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"prompt,n\n" + b"a,1\n" * 200_000)
    manifest = open_manifest(path)
    batches = manifest.batches()
    assert len(next(batches)) == 64
    path.write_bytes(b"")
    assert sum(map(len, batches)) < 200_000
    path.unlink()
    with pytest.raises(ManifestError, match=r"a\.csv is not there"):
        next(manifest.batches())
