"""The documentation's snippets for orchestrators, run by the orchestrators themselves.

`python -m pytest -m campaign tests/stories/test_orchestrators.py` installs the registry's newest Prefect, Dagster and
Airflow, each into a virtual environment of its own that is gone afterwards; what cannot be installed is skipped. Each is
given a job that is simulated, and calls the command that belongs to the tests. A minute each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from tempfile import TemporaryDirectory

import pytest

from tests.docs.pages import DOCS, blocks
from tests.support.commandline import CommandLine

pytestmark = pytest.mark.campaign

INSTALL_S = 900.0
RUN_S = 300.0

JOB = """
manifest = "p.csv"
out = "runs/{date}"
simulate = true
[request]
size = "64x64"
[simulator]
latency = 0
"""
# As seen in November 2026: Prefect 3.8.8 does not start with the newest FastAPI, which it allows.
CALLS = {
    "prefect": (
        ("prefect", "fastapi<0.140"),
        "\nsummary = images()\nprint(summary['exit_code'], summary['images_saved'])\n",
    ),
    "dagster": (("dagster",), "\nprint(dg.materialize([images]).success)\n"),
    "airflow": (("apache-airflow",), "\nrun = images_dag.test()\nprint(run.state)\n"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_snippet_runs(command: CommandLine, name: str) -> None:
    packages, call = CALLS[name]
    page = (DOCS / "how-to/airflow-prefect-dagster.md").read_text("utf-8")
    (snippet,) = [block.text for block in blocks(page) if block.kind == f"python {name}"]
    (command.cwd / "every-night.toml").write_text(JOB)
    (command.cwd / "p.csv").write_text("prompt\na fox\na hare\n")
    (command.cwd / "dags").mkdir()
    script = command.cwd / "dags" / "nightly.py"
    script.write_text(f"{snippet}\n\nif __name__ == '__main__':{call.replace(chr(10), chr(10) + '    ')}")
    with TemporaryDirectory(prefix=f"{name}-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        install = [python, "-m", "pip", "install", "-q", *packages]
        if subprocess.run(install, timeout=INSTALL_S, check=False).returncode:
            pytest.skip(f"{name} cannot be installed here")
        environ = command.environ(
            AIRFLOW_HOME=str(command.cwd / "airflow"),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__DAGS_FOLDER=str(script.parent),
            PREFECT_HOME=str(command.cwd / "prefect"),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DAGSTER_HOME="",
            DO_NOT_TRACK="1",
        )
        if name == "airflow":
            migrate = [f"{folder}/bin/airflow", "db", "migrate"]
            subprocess.run(migrate, env=environ, cwd=command.cwd, timeout=RUN_S, check=True)
        done = subprocess.run(
            [python, str(script)],
            env=environ,
            cwd=command.cwd,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    (written,) = command.cwd.glob("runs/*/summary.json")
    assert json.loads(written.read_text())["images_saved"] == 2
    assert ("success" in done.stdout.lower()) or done.stdout.endswith(("True\n", "0 2\n"))
