"""The field's prompt sets, byte for byte as published, against what plain splitting of their bytes gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.manifest.open import open_manifest
from tests.support.manifest_readback import read_back

pytestmark = pytest.mark.needs_shared


def test_parti_prompts(shared_data: Path) -> None:
    """Quotes are text: line 1562 starts with one and must keep it."""
    path = shared_data / "parti" / "PartiPrompts.tsv"
    raw = [line.split(b"\t") for line in path.read_bytes().removesuffix(b"\n").split(b"\n")]
    found = read_back(open_manifest(path))
    assert len(found.prompts) == 1_632
    assert [str(prompt).encode() for prompt in found.prompts] == [row[0] for row in raw[1:]]
    assert [note.encode() for note in found.extras["Note"]] == [row[3] for row in raw[1:]]
    assert str(found.prompts[1_560]).startswith('"G I G G L E" painted')
    assert found.locations[1_560] == "line 1562" and not found.malformed


def test_geneval_metadata(shared_data: Path) -> None:
    path = shared_data / "geneval" / "evaluation_metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    found = read_back(open_manifest(path))
    assert found.prompts == [row["prompt"] for row in rows] and len(rows) == 553
    for name in ("include", "exclude"):
        carried = [None if text is None else json.loads(text) for text in found.extras[name]]
        assert carried == [row.get(name) for row in rows]


def test_geneval_prompts(shared_data: Path) -> None:
    raw = (shared_data / "geneval" / "generation_prompts.txt").read_text().splitlines()
    found = read_back(open_manifest(shared_data / "geneval" / "generation_prompts.txt"))
    assert found.prompts == raw and len(raw) == 553


@pytest.mark.parametrize("name", ["complex_val", "color_val", "numeracy_val"])
def test_t2i_compbench(shared_data: Path, name: str) -> None:
    """CR LF or LF, and no line end at the end."""
    path = shared_data / "t2i-compbench" / f"{name}.txt"
    found = read_back(open_manifest(path))
    assert [str(prompt).encode() for prompt in found.prompts] == path.read_bytes().splitlines()
    assert len(found.prompts) == 300


def test_t2i_compbench_as_a_pattern(shared_data: Path) -> None:
    found = read_back(open_manifest(str(shared_data / "t2i-compbench" / "*_val.txt")))
    assert len(found.prompts) == 900
    assert found.locations[::300] == [
        "color_val.txt, line 1",
        "complex_val.txt, line 1",
        "numeracy_val.txt, line 1",
    ]


def test_dsg(shared_data: Path) -> None:
    manifest = open_manifest(shared_data / "dsg" / "tifa160-dev-anns.csv")
    found = read_back(manifest)
    assert manifest.columns == {"prompt": "text", "id": "item_id"}
    assert len(found.prompts) == 920 and len(set(found.prompts)) == 160 and not found.malformed
    assert found.extras["category_detailed"][0] == "whole"


def test_dpg_bench(shared_data: Path) -> None:
    folder = shared_data / "dpg-bench" / "prompts"
    files = sorted(folder.glob("*.txt"), key=lambda path: path.name)
    found = read_back(open_manifest(folder))
    assert found.ids == [path.stem for path in files] and len(files) == 49
    assert [str(prompt).encode() for prompt in found.prompts] == [path.read_bytes() for path in files]
