"""What `plan`, `run` and `status` print of an edited manifest."""

from __future__ import annotations

from pathlib import Path

from tests.runner.cli.conftest import Imagemill

SIMULATED = ("--simulate", "--set", "simulator.latency=0", "--set", "request.size=64x64")


def write(folder: Path, rows: dict[str, str]) -> None:
    """The manifest: prompts by id."""
    text = "".join(f"{row_id},{prompt}\n" for row_id, prompt in rows.items())
    (folder / "p.csv").write_text(f"id,prompt\n{text}")


def test_an_edited_manifest_is_shown_as_a_version_control_does(imagemill: Imagemill, tmp_path: Path) -> None:
    first = {f"sku-{i}": f"fox {i}" for i in range(15)}
    write(tmp_path, first)
    assert "manifest" not in imagemill("plan", "p.csv", *SIMULATED).out
    assert imagemill("run", "p.csv", *SIMULATED, "-q").code == 0
    assert "manifest  15 unchanged\n" in imagemill("plan", "p.csv", *SIMULATED).out

    now = {name: f"{prompt} at dawn" if name != "sku-14" else prompt for name, prompt in first.items()}
    now |= {f"new-{i}": "hare" for i in range(4)}
    del now["sku-0"]
    write(tmp_path, now)
    shown = imagemill("plan", "p.csv", *SIMULATED).out.splitlines()
    assert shown[2:16] == [
        "manifest  13 edited, 4 new, 1 removed, 1 unchanged",
        *(f"edited    sku-{i}   prompt: 'fox {i}' -> 'fox {i} at dawn'" for i in range(1, 11)),
        "edited    … and 3 more",
        "new       new-0, new-1, new-2, … (4)",
        "removed   sku-0",
    ]
    told = imagemill("plan", "p.csv", *SIMULATED, "--json").json["changes"]
    assert {name: told[name] for name in ("edited", "held", "new", "removed", "unchanged")} == {
        "edited": 13,
        "held": 13,
        "new": 4,
        "removed": 1,
        "unchanged": 1,
    }
    assert told["edited_rows"][0] == {
        "row_id": "sku-1",
        "held": True,
        "changes": [{"field": "prompt", "old": "fox 1", "new": "fox 1 at dawn"}],
    }
    assert (len(told["edited_rows"]), told["new_rows"][0], told["removed_rows"]) == (10, "new-0", ["sku-0"])

    stopped = imagemill("run", "p.csv", *SIMULATED, "-q")
    assert stopped.code == 2
    lines = stopped.err.splitlines()
    assert (
        lines[0]
        == "error: 13 rows were edited since an image was made or may have been paid for (in runs/p):"
    )
    assert lines[1] == "  sku-1   prompt: 'fox 1' -> 'fox 1 at dawn'"
    assert (lines[11], lines[12][:37]) == ("  … and 3 more", "fix: run with --on-change keep to kee")
    kept = imagemill("run", "p.csv", *SIMULATED, "-q", "--on-change", "keep", "--json").json
    assert (kept["folder"]["requests_sent"], kept["removed"], kept["exit_code"]) == (19, 1, 0)
    status = imagemill("status", "runs/p").out
    assert "removed    1 row of earlier manifests is not in this one; its images are kept\n" in status
