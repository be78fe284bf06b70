"""A notebook, executed as Jupyter does: a kernel with a running event loop, and what its cells show."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

CELLS = [
    """
import runner
summary = runner.run(
    {"id": ["fox", "hare", "owl"], "prompt": ["a fox", "[[refuse]] <script>a hare</script>", "an owl"]},
    out="runs/a", simulate=True, set={"simulator.latency": 0},
)
summary
""",
    'runner.failures("runs/a")',
    """
seen = []
async def look(progress):
    seen.append(progress)
again = runner.run(["a fox"], out="runs/b", simulate=True, on_progress=look)
later = await runner.run_async(["a fox"], out="runs/c", simulate=True, on_progress=look)
print(len(seen) > 1, again.ok, later.ok)
""",
    'runner.plan(["a fox", ""], out="runs/d", simulate=True)',
    'runner.run(["a fox"], out="runs/e", simulate=True, progress="none").ok',
    'runner.verify("runs/a")',
    'runner.results("runs/aa")',
]


class Manager(AsyncKernelManager):
    """Starts the kernel of this Python, whichever others the machine has."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    folder: Path = tmp_path_factory.mktemp("notebook")
    form: Any = nbformat.v4
    notebook = form.new_notebook(cells=[form.new_code_cell(text) for text in CELLS])
    client = NotebookClient(
        notebook,
        timeout=120,
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
        kernel_manager_class=Manager,
    )
    client.execute()
    return [cell.outputs for cell in notebook.cells]


def html(outputs: list[dict[str, Any]], kind: str) -> str:
    (found,) = (each["data"]["text/html"] for each in outputs if each["output_type"] == kind)
    return str(found)


def test_a_run_shows_one_bar_and_what_became_of_it(cells: list[list[dict[str, Any]]]) -> None:
    bar = html(cells[0], "display_data")
    assert "done: 3/3 images in " in bar and "1 failed" in bar
    assert "width:66.7%" in bar and "width:33.3%" in bar
    shown = html(cells[0], "execute_result")
    assert "finished: 1 failed (exit code 3)" in shown and shown.count('<img style="') == 2
    told = "".join(each["text"] for each in cells[0] if each["output_type"] == "stream")
    assert "JobWarning: runs/a: finished: 1 failed (exit code 3); runner.failures('runs/a') lists" in told


def test_failures_are_a_table_in_which_nothing_is_markup(cells: list[list[dict[str, Any]]]) -> None:
    shown = html(cells[1], "execute_result")
    assert "&lt;script&gt;a hare&lt;/script&gt;" in shown and "<script>" not in shown
    assert "imagemill retry runs/a --error moderation" in shown


def test_a_callback_of_ones_own_takes_the_place_of_the_bar(cells: list[list[dict[str, Any]]]) -> None:
    assert [each["output_type"] for each in cells[2]] == ["stream"]
    assert cells[2][0]["text"] == "True True True\n"


def test_plans_and_verifications_are_shown(cells: list[list[dict[str, Any]]]) -> None:
    assert "1 image in 1 request" in html(cells[3], "execute_result")
    assert [each["output_type"] for each in cells[4]] == ["execute_result"]
    assert "everything is as the ledger says" in html(cells[5], "execute_result")


def test_an_error_is_one_message_below_the_line_of_the_cell(cells: list[list[dict[str, Any]]]) -> None:
    (error,) = cells[6]
    text = re.sub("\x1b\\[[0-9;]*m", "", "\n".join(error["traceback"]))
    assert text.splitlines()[1:] == [
        '    runner.results("runs/aa")',
        "runner.api.tables.NoFolder: 'runs/aa' is not an output folder of imagemill",
        "fix: did you mean 'runs/a'?",
    ]
