"""A relay that imagemill has never heard of, described in a job file only."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.attacks.faults.pictures import picture
from tests.support.canary import CANARY, WITH_CANARY
from tests.support.commandline import COMMAND, CommandLine

JOB = """
manifest = "prompts.csv"
out = "out"
[endpoint]
base_url = "{base_url}"
key_header = "X-Kitchen-Key"
drop_params = ["quality"]
rename_params = {{ size = "aspect_ratio", model = "chef" }}
poll_every = 0.05
[endpoint.task]
submit_path = "orders"
submit_query = {{ mode = "later" }}
submit_body = {{ wait = false }}
poll_path = "/kitchen/orders/{{id}}"
id = "order.ref"
status = "order.phase"
images = "order.plates"
going = ["cooking"]
done = ["served"]
failed = ["burnt"]
"""


@dataclass
class Kitchen:
    """Takes orders and serves them at the third look; burns those whose prompt says so."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    looks: dict[str, int] = field(default_factory=dict)

    async def order(self, request: web.Request) -> web.Response:
        assert (request.headers["X-Kitchen-Key"], request.query["mode"]) == (CANARY, "later")
        assert "Authorization" not in request.headers
        self.bodies.append(await request.json())
        reference = f"q{len(self.bodies)}"
        self.looks[reference] = 0
        return web.json_response({"order": {"ref": reference, "phase": "cooking"}})

    async def look(self, request: web.Request) -> web.Response:
        assert request.headers["X-Kitchen-Key"] == CANARY
        reference = request.match_info["id"]
        self.looks[reference] += 1
        prompt = self.bodies[int(reference[1:]) - 1]["prompt"]
        if self.looks[reference] < 3:
            return web.json_response({"order": {"ref": reference, "phase": "cooking"}})
        if "burn" in prompt:
            return web.json_response(
                {"order": {"phase": "burnt"}, "error": {"message": "the pan was too hot"}}
            )
        plate = {"base64": base64.b64encode(picture(prompt)).decode()}
        return web.json_response({"order": {"phase": "served", "plates": [plate]}})


async def _cooked(command: CommandLine, kitchen: Kitchen) -> tuple[int | None, dict[str, Any]]:
    app = web.Application()
    app.router.add_post("/v1/orders", kitchen.order)
    app.router.add_get("/kitchen/orders/{id}", kitchen.look)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (command.cwd / "job.toml").write_text(
        JOB.format(base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    )
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *("run", "job.toml", "--json", "-q"),
        cwd=command.cwd,
        env=command.environ(**WITH_CANARY),
        stdout=asyncio.subprocess.PIPE,
    )
    output = (await process.communicate())[0]
    await runner.cleanup()
    return process.returncode, json.loads(output)


def test_a_dialect_that_only_a_job_file_describes(command: CommandLine) -> None:
    (command.cwd / "prompts.csv").write_text(
        "id,prompt,size,quality,model\na,a fox,1536x1024,high,sous\nb,burn it,1024x1024,low,sous\n"
    )
    kitchen = Kitchen()
    code, summary = asyncio.run(_cooked(command, kitchen))
    assert (code, summary["by_status"]) == (3, {"succeeded": 1, "failed": 1})
    assert sorted(kitchen.bodies, key=lambda body: str(body["prompt"])) == [
        {"prompt": "a fox", "chef": "sous", "aspect_ratio": "3:2", "wait": False},
        {"prompt": "burn it", "chef": "sous", "aspect_ratio": "1:1", "wait": False},
    ]
    fox, burnt = command.results("out")
    assert (command.cwd / "out" / fox["file_name"]).read_bytes() == picture("a fox")
    assert fox["task_id"] in ("q1", "q2")
    assert (burnt["error_kind"], burnt["error_message"]) == ("task_failed", "the pan was too hot")
