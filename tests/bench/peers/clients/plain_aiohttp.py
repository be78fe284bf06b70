"""plain_aiohttp.py BASE_URL IMAGES IN_FLIGHT FOLDER: aiohttp, json and base64, as most people write it.

Prints the 99th percentile of the event loop's lag too.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from pathlib import Path

import aiohttp

EVERY_S = 0.005


async def lag(lags: list[float]) -> None:
    """Note how much later than asked for the loop wakes us."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(EVERY_S)
        lags.append(time.perf_counter() - before - EVERY_S)


def p99_ms(lags: list[float]) -> float:
    """The 99th percentile, in ms."""
    return sorted(lags)[int(len(lags) * 0.99)] * 1000 if lags else 0.0


async def main(base_url: str, images: int, in_flight: int, folder: Path) -> float:
    """Make the images and save them; the lag's 99th percentile in ms."""
    lags: list[float] = []
    numbers = iter(range(images))
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def worker() -> None:
            for number in numbers:
                body = {"model": "gpt-image-2", "prompt": f"A quiet harbour, number {number}", "n": 1}
                headers = {"Authorization": "Bearer none"}
                async with session.post(
                    f"{base_url}/images/generations", json=body, headers=headers
                ) as response:
                    data = (await response.json())["data"][0]
                if "url" in data:
                    async with session.get(data["url"]) as response:
                        picture = await response.read()
                else:
                    picture = base64.b64decode(data["b64_json"])
                (folder / f"{number:08}.png").write_bytes(picture)

        watching = asyncio.create_task(lag(lags))
        await asyncio.gather(*(worker() for _ in range(min(images, in_flight))))
        watching.cancel()
    return p99_ms(lags)


if __name__ == "__main__":
    late = asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
    sys.stdout.write(json.dumps({"images": int(sys.argv[2]), "lag_p99_ms": late}) + "\n")
