"""A run that ends while tasks are being made: what is told of them, and what the next run does."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.canary import WITH_CANARY
from tests.commandline import CommandLine, Service
from tests.servedjob import ServedJob, last_object
from tests.waiting import until

ROWS = 5


def test_tasks_that_are_being_made_are_neither_parked_nor_planned_nor_sent_again(
    command: CommandLine, tmp_path: Path
) -> None:
    (command.cwd / "prompts.csv").write_text(
        "id,prompt\n" + "".join(f"r{i},picture {i}\n" for i in range(ROWS))
    )
    with Service(command, "--dialect", "evolink", "--latency", "3") as service:
        process = ServedJob(command, service, ROWS).start("--set", "endpoint.poll_every=0.1")
        until(lambda: service.stats()["polls"] >= ROWS)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            until(lambda: process.poll() is not None or service.stats()["polls_in_flight"] == 0)
        cut = last_object(process)
        if cut["by_status"].get("succeeded", 0) < ROWS:
            assert set(cut["by_status"]) <= {"pending", "succeeded"}
            assert cut["next"] == "imagemill run out/job.toml"
            planned = command("plan", "out/job.toml", "--json").json
            assert planned["requests"] == 0
            assert any("tasks that the service has not ended" in warning for warning in planned["warnings"])
            assert {row["task_id"] is None for row in command.results("out")} == {False}
        again = command("run", "out/job.toml", "--json", "-q", environ=WITH_CANARY)
        assert (again.code, again.json["by_status"]) == (0, {"succeeded": ROWS})
        stats = service.stats()
        assert (stats["tasks"]["submitted"], stats["tasks"]["collected"]) == (ROWS, ROWS)
        assert command("verify", "out").code == 0
