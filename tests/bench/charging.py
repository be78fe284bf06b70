"""A service in this process that fails in every way that costs money or does not, and keeps the account."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import threading
from collections import defaultdict
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiohttp import web
from PIL import Image

TOKEN_USD = 30e-6
INPUT_USD = 5e-6
QUALITY_USD = (0.01, 0.05, 0.2)
HANG_S = 1.0


@dataclass
class Account:
    """What one job has sent and was charged."""

    requests: int = 0
    usd: float = 0.0


def _picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


_PICTURE = _picture()
_FREE = {
    "error": (500, "server_error"),
    "throttle": (429, "rate_limit_exceeded"),
    "bad": (400, "invalid_value"),
}
_ACTS = (*["good"] * 10, "error", "throttle", "bad", "moderated", "cut", "gone", "hang", "odd", "fewer")


class ChargingService(AbstractContextManager["ChargingService"]):
    """Serves `/JOB/PRICE/v1/images/generations`; PRICE is USD an image, or `table`."""

    def __init__(self) -> None:
        self._accounts: defaultdict[int, Account] = defaultdict(Account)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self.base_url = ""

    def account(self, job: int) -> Account:
        """What this job has come to."""
        return self._accounts[job]

    def __enter__(self) -> ChargingService:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_post("/{job}/{price}/v1/images/generations", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Charge, then answer or fail; a refusal is free, everything else may cost."""
        job, price = int(request.match_info["job"]), request.match_info["price"]
        body = await request.json()
        account = self._accounts[job]
        account.requests += 1
        chance = random.Random(f"{body['prompt']} {account.requests}")
        act, n = chance.choice(_ACTS), int(body.get("n", 1))
        if act in _FREE or (act == "moderated" and chance.random() < 0.5):
            return _refusal(*_FREE.get(act, (400, "moderation_blocked")))
        tokens_in = len(body["prompt"]) // 4
        tokens_out = round(chance.choice(QUALITY_USD) * n / TOKEN_USD)
        made = n - 1 if act == "fewer" and n > 1 else n
        table_usd = tokens_in * INPUT_USD + tokens_out * TOKEN_USD
        account.usd += table_usd if price == "table" else float(price) * made
        usage = {"input_tokens": tokens_in, "output_tokens": tokens_out}
        await asyncio.sleep(chance.uniform(0, 0.03) if act != "hang" else HANG_S)
        return await _paid(
            request, act, [{"b64_json": _PICTURE}] * made, usage if chance.random() < 0.8 else None
        )


def _refusal(status: int, code: str) -> web.Response:
    headers = {"retry-after-ms": "20"} if status == 429 else {}
    return web.json_response(
        {"error": {"message": code, "type": "x", "param": None, "code": code}}, status=status, headers=headers
    )


async def _paid(
    request: web.Request, act: str, data: list[dict[str, Any]], usage: dict[str, int] | None
) -> web.StreamResponse:
    if act == "moderated":
        return _refusal(400, "moderation_blocked")
    document: dict[str, Any] = {"created": 1, "data": [] if act == "odd" else data}
    text = json.dumps(document if usage is None else document | {"usage": usage}).encode()
    if act not in ("cut", "gone"):
        return web.Response(body=text, content_type="application/json")
    transport = request.transport
    response = web.StreamResponse(headers={"Content-Length": str(len(text))})
    if act == "cut":
        await response.prepare(request)
        await response.write(text[: len(text) // 2])
    if transport is not None:
        transport.close()
    return response
